//! Times and durations as people read them.

use std::fmt;
use std::str::FromStr;
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

/// The text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time must be written as 2026-11-29 14:02:11 UTC, or as 2026-11-29T14:02:11Z")]
pub struct InvalidTimestamp;

/// Reads a time of the years 1970 to 9999, in UTC or with an offset: as it is printed, or in the
/// forms of ISO 8601 `2026-11-29T14:02:11Z`, `2026-11-29T14:02:11.5+01:00` and `2026-11-29T14:02Z`.
impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        read(text).map(Timestamp).ok_or(InvalidTimestamp)
    }
}

/// Milliseconds since 1970.
fn read(text: &str) -> Option<u64> {
    let (date, time) = text.split_at_checked("2026-11-29".len())?;
    let time = time.strip_prefix(['T', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (time, offset) = split_offset(time)?;
    let (time, millis) = match time.split_once('.') {
        Some((time, fraction)) => (time, read_millis(fraction)?),
        None => (time, 0),
    };
    let [hour, minute, second] = match time.len() {
        5 => numbers(time, ':', [2, 2]).map(|[hour, minute]| [hour, minute, 0])?,
        _ => numbers(time, ':', [2, 2, 2])?,
    };
    let is_valid = year >= 1970 && hour < 24 && minute < 60 && second < 60;
    let day = day_of(year, month, day).filter(|_| is_valid)?;
    let seconds = day * DAY + hour * HOUR + minute * MINUTE + second;
    seconds.checked_mul(1000)?.checked_add(millis)?.checked_add_signed(-offset)
}

/// A time without its offset, which is in milliseconds.
fn split_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix('Z').or_else(|| time.strip_suffix(" UTC")) {
        return Some((time, 0));
    }
    let (time, offset) = time.split_at_checked(time.find(['+', '-'])?)?;
    let [hours, minutes] = numbers(&offset[1..], ':', [2, 2])?;
    let minutes =
        i64::try_from(60 * hours + minutes).ok().filter(|_| hours < 24 && minutes < 60)?;
    Some((time, if offset.starts_with('-') { -minutes * 60_000 } else { minutes * 60_000 }))
}

/// The first three digits of a fraction of a second.
fn read_millis(fraction: &str) -> Option<u64> {
    let is_fraction =
        (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    format!("{fraction:0<3}").get(..3).filter(|_| is_fraction)?.parse().ok()
}

/// Numbers with so many digits each, between separators.
fn numbers<const COUNT: usize>(
    text: &str,
    separator: char,
    digits: [usize; COUNT],
) -> Option<[u64; COUNT]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; COUNT];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        *number = part.parse().ok().filter(|_| is_number)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// The day of a date, counted from 1 January 1970: the reverse of [`date`].
fn day_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let is_march_or_later = month > 2;
    let year_from_march = if is_march_or_later { year } else { year.checked_sub(1)? };
    let month_from_march = if is_march_or_later { month - 3 } else { (month + 9) % 12 };
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let number = (era * 146_097 + day_of_era).checked_sub(719_468)?;
    // A day that its month does not have is read as one of the next month.
    (date(number) == (year, month, day)).then_some(number)
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
    use proptest::prelude::*;

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
    fn times_are_read_with_their_offsets_and_fractions() {
        for (text, millis) in [
            ("1970-01-01 00:00:00 UTC", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("2025-11-29T13:02Z", 1_764_421_320_000),
            ("2025-11-29T14:02:11.5+01:00", 1_764_421_331_500),
            ("2025-11-29T12:32:11.123456-00:30", 1_764_421_331_123),
        ] {
            assert_eq!(text.parse(), Ok(Timestamp(millis)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "2025-11-29",
            "2025-11-29 13:02:11",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-10T00:00:00Z",
            "2025-11-00T00:00:00Z",
            "2025-11-29T24:00:00Z",
            "2025-11-29T13:60:00Z",
            "1969-12-31T23:59:59Z",
            "1970-01-01T00:00:00+01:00",
            "2025-11-29T13:02:11+1:00",
            "2025-11-29T13:02:11.Z",
            "2025-1\u{e9}-29T13:02:11Z",
            "+025-11-29T13:02:11Z",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(InvalidTimestamp), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_is_read_as_it_is_printed(seconds in 0..253_402_300_800_u64, noise in ".{0,30}") {
            let time = Timestamp(seconds * 1000);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
            let _ = noise.parse::<Timestamp>();
        }
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
