//! Durations, as users write them.

use std::time::Duration;

use ivy_proto::text::number;

/// The text is not a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a duration must be a whole number of ms, s, m, h or d, such as 30s")]
pub(crate) struct InvalidDuration;

const UNITS: [(&str, Duration); 5] = [
    // Before `s`, which it ends with.
    ("ms", Duration::from_millis(1)),
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_secs(60)),
    ("h", Duration::from_secs(3600)),
    ("d", Duration::from_secs(86_400)),
];

/// Parses a whole number with its unit.
pub(crate) fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let with_unit = |(unit, size): (&str, Duration)| Some((text.strip_suffix(unit)?, size));
    let (digits, size) = UNITS.into_iter().find_map(with_unit).ok_or(InvalidDuration)?;
    let count = number(digits).filter(|_| !digits.is_empty()).ok_or(InvalidDuration)?;
    size.checked_mul(count).ok_or(InvalidDuration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_a_unit() {
        for (text, seconds) in
            [("0s", 0), ("30s", 30), ("2m", 120), ("3h", 10_800), ("7d", 604_800), ("5000ms", 5)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "s", "ms", "30", "1.5s", "-1s", "1 s", "1w", "30S", "99999999999d"] {
            assert_eq!(parse(text), Err(InvalidDuration), "{text}");
        }
    }
}
