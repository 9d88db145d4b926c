//! Tracks the failed requests of a queue.

use std::time::Duration;

use crate::queue::FaultKind;
use crate::retry::Backoff;
use crate::rng::Rng;
use crate::time::Moment;

use super::queue::Queue;

/// A failing queue is polled at most twice a second.
const OUTAGE_INTERVAL: Duration = Duration::from_millis(500);
/// A queue counts as degraded after this many consecutive failures.
const DEGRADED_AFTER: u32 = 3;

/// A change of a queue's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::worker) enum Health {
    Unchanged,
    Degraded,
    Recovered,
}

impl Queue {
    /// Records that the queue's server answered, though it may have refused the request.
    pub(in crate::worker) fn answered(&mut self, now: Moment) {
        (self.answered_at, self.trouble) = (Some(now), None);
    }

    /// Records that a request was not answered.
    pub(in crate::worker) fn unanswered(&mut self, why: FaultKind) {
        self.trouble = Some(why);
    }

    pub(in crate::worker) fn succeeded(&mut self, now: Moment) -> Health {
        self.answered(now);
        let was_degraded = self.failures >= DEGRADED_AFTER;
        self.failures = 0;
        if was_degraded { Health::Recovered } else { Health::Unchanged }
    }

    /// Records a failed request. Returns the delay until it may be repeated, and the change in
    /// health. A fault that a person must fix makes the queue degraded immediately.
    pub(in crate::worker) fn failed(
        &mut self,
        needs_operator: bool,
        at_least: Duration,
        now: Moment,
        rng: &mut Rng,
    ) -> (Duration, Health) {
        let backoff = Backoff::REQUESTS.delay(self.failures, rng);
        let failures_before = self.failures;
        self.failures = self.failures.saturating_add(1);
        if needs_operator {
            self.failures = self.failures.max(DEGRADED_AFTER);
        }
        // Repetitions are spaced at two a second, however many wait.
        let earliest = self.not_before.max(now + OUTAGE_INTERVAL);
        let at = earliest.max(now + backoff.max(at_least));
        self.not_before = earliest + OUTAGE_INTERVAL;
        let is_news = failures_before < DEGRADED_AFTER && self.failures >= DEGRADED_AFTER;
        let health = if is_news { Health::Degraded } else { Health::Unchanged };
        (at.since(now), health)
    }
}
