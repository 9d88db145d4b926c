//! The time of this host.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A duration in seconds, to a millisecond, for JSON.
pub(super) fn seconds(duration: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "exact for a hundred thousand years")]
    let millis = duration.as_millis() as f64;
    // Dividing once gives the number that is nearest to the decimal one, which prints as short.
    millis / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_at_most_three_decimals() {
        for (micros, text) in [(10_850_999, "10.85"), (10_851_000, "10.851"), (1_200, "0.001")] {
            assert_eq!(seconds(Duration::from_micros(micros)).to_string(), text);
        }
        for millis in 0..100_000 {
            let text = seconds(Duration::from_millis(millis)).to_string();
            let decimals = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            assert!(decimals <= 3, "{text}");
        }
    }
}
