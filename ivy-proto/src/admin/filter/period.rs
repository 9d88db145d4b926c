//! Periods of time.

use super::InvalidFilter;

/// A period, in milliseconds since 1970, including both ends. Contains at least one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    since: u64,
    until: u64,
}

impl Period {
    /// A period that begins and ends at these times; without one of them it is unlimited there.
    ///
    /// # Errors
    /// If it ends before it begins.
    pub fn new(since: Option<u64>, until: Option<u64>) -> Result<Self, InvalidFilter> {
        let period = Period { since: since.unwrap_or(0), until: until.unwrap_or(u64::MAX) };
        if period.since <= period.until { Ok(period) } else { Err(InvalidFilter::Period) }
    }

    /// Whether a time is in the period.
    #[must_use]
    pub fn holds(self, unix_millis: u64) -> bool {
        (self.since..=self.until).contains(&unix_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_includes_its_ends_and_may_be_open() {
        let held = |since, until| {
            let period = Period::new(since, until).unwrap();
            [0, 4, 5, 6, u64::MAX].map(|at| period.holds(at))
        };
        assert_eq!(held(Some(5), Some(5)), [false, false, true, false, false]);
        assert_eq!(held(Some(5), None), [false, false, true, true, true]);
        assert_eq!(held(None, Some(5)), [true, true, true, false, false]);
        assert_eq!(Period::new(Some(6), Some(5)), Err(InvalidFilter::Period));
    }
}
