//! Times and durations as people read them.

use std::fmt;
use std::time::Duration;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Prints milliseconds since 1970 as a time in UTC, to the second: `2026-11-29 14:02:11 UTC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub u64);

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        let (year, month, day) = date(seconds / DAY);
        let (hour, minute, second) =
            (seconds % DAY / HOUR, seconds % HOUR / MINUTE, seconds % MINUTE);
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
    }
}

/// The date of a day, counted from 1 January 1970, in the Gregorian calendar.
fn date(day: u64) -> (u64, u64, u64) {
    // A year begins in March, so that its last day is the leap day. The first one is the year 0.
    let day = day + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year_of_era + next_year, month, day_of_month)
}

/// Prints a duration in its two largest units: `2m 10s`, `3d 4h`; below ten seconds to a tenth,
/// `3.2s`, and below a second in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 => write!(f, "{}ms", self.0.as_millis()),
            1..10 => write!(f, "{}.{}s", seconds, self.0.subsec_millis() / 100),
            10..MINUTE => write!(f, "{seconds}s"),
            MINUTE..HOUR => write!(f, "{}m {}s", seconds / MINUTE, seconds % MINUTE),
            HOUR..DAY => write!(f, "{}h {}m", seconds / HOUR, seconds % HOUR / MINUTE),
            _ => write!(f, "{}d {}h", seconds / DAY, seconds % DAY / HOUR),
        }
    }
}

/// How long ago a message was due, or how long until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It has been due for this long.
    Since(Duration),
    /// It is due after this time.
    Until(Duration),
}

impl Wait {
    /// The wait of a message that is due at a time, both in milliseconds since 1970.
    #[must_use]
    pub fn of(due: u64, now: u64) -> Self {
        match now.checked_sub(due) {
            Some(since) => Wait::Since(Duration::from_millis(since)),
            None => Wait::Until(Duration::from_millis(due - now)),
        }
    }

    /// How long it has been due; `None` if it is not due yet.
    #[must_use]
    pub fn since(self) -> Option<Duration> {
        match self {
            Wait::Since(time) => Some(time),
            Wait::Until(_) => None,
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wait::Since(time) => write!(f, "{} ago", Span(*time)),
            Wait::Until(time) => write!(f, "in {}", Span(*time)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (unix, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (1_764_421_331, "2025-11-29 13:02:11 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
        ] {
            assert_eq!(Timestamp(unix * 1000 + 999).to_string(), text);
        }
        assert!(Timestamp(u64::MAX).to_string().ends_with("UTC"));
    }

    #[test]
    fn durations_have_two_units() {
        for (millis, text) in [
            (0, "0ms"),
            (999, "999ms"),
            (3250, "3.2s"),
            (59_900, "59s"),
            (130_000, "2m 10s"),
            (11_100_000, "3h 5m"),
            (273_600_000, "3d 4h"),
        ] {
            assert_eq!(Span(Duration::from_millis(millis)).to_string(), text);
        }
    }

    #[test]
    fn a_wait_lies_before_or_behind() {
        assert_eq!(Wait::of(1000, 4200).to_string(), "3.2s ago");
        assert_eq!(Wait::of(131_000, 1000).to_string(), "in 2m 10s");
        assert_eq!((Wait::of(5, 5).since(), Wait::of(6, 5).since()), (Some(Duration::ZERO), None));
    }
}
