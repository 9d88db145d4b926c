//! Backoff between retries.

use std::time::Duration;

use crate::rng::Rng;

/// The longest wait that a queue may request.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Exponential backoff with full jitter: the wait before try `k` is a random time between zero
/// and `base * factor^k`, at most `cap`.
///
/// Full jitter spreads the retries of many workers over the whole interval. With a fixed wait, they
/// would all return at the same moment.
///
/// ```
/// use ivy_proto::{Backoff, Rng};
/// use std::time::Duration;
///
/// let backoff = Backoff::new(Duration::from_secs(1), 2, Duration::from_secs(300));
/// assert_eq!(backoff.ceiling(0), Duration::from_secs(1));
/// assert_eq!(backoff.ceiling(3), Duration::from_secs(8));
/// assert_eq!(backoff.ceiling(100), Duration::from_secs(300));
///
/// let mut rng = Rng::from_number(1);
/// assert!(backoff.delay(3, &mut rng) <= Duration::from_secs(8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    base: Duration,
    factor: u32,
    cap: Duration,
}

impl Backoff {
    /// Failed attempts of a task: 1 s, doubled, at most 300 s.
    pub const ATTEMPTS: Backoff = Backoff::new(Duration::from_secs(1), 2, Duration::from_secs(300));
    /// Messages that another worker may be able to handle, for instance of an unknown task or with an
    /// unknown key: 5 s, doubled, at most 300 s.
    pub const UNDECIDED: Backoff =
        Backoff::new(Duration::from_secs(5), 2, Duration::from_secs(300));
    /// Requests to a queue that failed: 0.1 s, times four, at most 6.4 s.
    pub const REQUESTS: Backoff =
        Backoff::new(Duration::from_millis(100), 4, Duration::from_millis(6400));
    /// Connections to a notifier: 0.1 s, doubled, at most 10 s.
    pub const NOTIFIER: Backoff =
        Backoff::new(Duration::from_millis(100), 2, Duration::from_secs(10));

    /// A backoff that starts at `base`, grows by `factor` with each try, and stops at `cap`.
    #[must_use]
    pub const fn new(base: Duration, factor: u32, cap: Duration) -> Self {
        Backoff { base, factor, cap }
    }

    /// The longest wait before try `k`. The first retry has `k` = 0.
    #[must_use]
    pub fn ceiling(&self, k: u32) -> Duration {
        let grown = self.factor.checked_pow(k).and_then(|factor| self.base.checked_mul(factor));
        grown.unwrap_or(self.cap).min(self.cap)
    }

    /// A random wait before try `k`. The first retry has `k` = 0.
    pub fn delay(&self, k: u32, rng: &mut Rng) -> Duration {
        rng.between(Duration::ZERO, self.ceiling(k))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_grows_up_to_the_cap_and_stays_there() {
        let ceilings: Vec<u64> = (0..10).map(|k| Backoff::ATTEMPTS.ceiling(k).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(Backoff::ATTEMPTS.ceiling(u32::MAX).as_secs(), 300);
    }

    #[test]
    fn delays_are_spread_over_the_whole_interval() {
        let mut rng = Rng::from_number(3);
        let delays: Vec<u64> =
            (0..1000).map(|_| Backoff::ATTEMPTS.delay(3, &mut rng).as_secs()).collect();
        for second in 0..8 {
            assert!(delays.contains(&second), "no delay of {second} s in 1000");
        }
        assert!(delays.iter().all(|delay| *delay <= 8));
    }
}
