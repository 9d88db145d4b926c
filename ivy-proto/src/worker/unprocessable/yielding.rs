//! Decides when to yield a queue to other workers.
//!
//! If several programs, or several versions of one, share a queue, each message goes to any worker
//! that waits for it. A worker without work of its own always waits, so it receives most of the
//! messages that it cannot process: if only one of ten workers knows a task, its messages would be
//! released again and again. Therefore a worker that receives tasks of others, and has had none of
//! its own for a minute, yields: it stops polling until the released messages are available again,
//! and then polls a few times without waiting. Workers that wait receive each message first;
//! messages for which no worker waits are still found. The worker yields
//!
//! * when it has received everything, because nothing of its own is behind it;
//! * in a backlog, after it has received its limit of such messages. The limit grows each time,
//!   because its own messages may be behind them.

use std::time::Duration;

use crate::rng::Rng;
use crate::time::Moment;

use super::is_recent;

/// How long to stop polling: at least until the first released message is available again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));
/// The pause between two short polls: at most as long as for a backend without long polls.
const BETWEEN_SHORT_POLLS: (Duration, Duration) =
    (Duration::from_millis(2_500), Duration::from_secs(5));
/// How many short polls precede the next long poll: they cover a minute, in which nine other
/// workers can receive the message in turn.
const SHORT_POLLS: u32 = 15;
/// The factor by which the limit of other programs' messages in a backlog grows.
const GROWTH: u32 = 4;
const MAX_FOREIGN: u32 = 16_384;

#[derive(Debug)]
pub(super) struct Yielding {
    /// When a handler last accepted its arguments.
    worked_at: Option<Moment>,
    /// How many messages of other programs were received since the worker last yielded.
    foreign: u32,
    /// The maximum number of such messages in a backlog.
    max_foreign: u32,
    /// Whether the last reply contained as many messages as requested, without a wait.
    backlog: bool,
    /// How many short polls remain before the next long poll.
    short_polls: u32,
}

impl Default for Yielding {
    fn default() -> Self {
        Yielding { worked_at: None, foreign: 0, max_foreign: 1, backlog: false, short_polls: 0 }
    }
}

impl Yielding {
    /// Records that a handler accepted its arguments, so this worker has work of its own.
    pub(super) fn worked(&mut self, now: Moment) {
        *self = Yielding { worked_at: Some(now), ..Yielding::default() };
    }

    pub(super) fn worked_recently(&self, now: Moment) -> bool {
        is_recent(self.worked_at, now)
    }

    /// Records the release of a message of another program.
    pub(super) fn saw_foreign_message(&mut self, now: Moment) {
        if !self.worked_recently(now) {
            self.foreign = self.foreign.saturating_add(1);
        }
    }

    pub(super) fn on_reply(&mut self, backlog: bool) {
        self.backlog = backlog;
        if !backlog {
            self.max_foreign = 1;
            self.short_polls = self.short_polls.saturating_sub(1);
        }
    }

    /// Whether to poll without waiting.
    pub(super) fn polls_without_waiting(&self) -> bool {
        self.short_polls > 0
    }

    /// The pause after a short poll that returned nothing.
    pub(super) fn pause_between_short_polls(&self, rng: &mut Rng) -> Option<Duration> {
        let (shortest, longest) = BETWEEN_SHORT_POLLS;
        self.polls_without_waiting().then(|| rng.between(shortest, longest))
    }

    /// Yields if it is time. Returns how long to stop polling.
    pub(super) fn yield_for(&mut self, rng: &mut Rng) -> Option<Duration> {
        let continues = self.backlog && self.foreign < self.max_foreign;
        if self.foreign == 0 || continues {
            return None;
        }
        (self.foreign, self.short_polls) = (0, SHORT_POLLS);
        if self.backlog {
            self.max_foreign = (self.max_foreign * GROWTH).min(MAX_FOREIGN);
        }
        Some(rng.between(PAUSE.0, PAUSE.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn yield_for(yielding: &mut Yielding) -> Option<Duration> {
        yielding.yield_for(&mut Rng::from_number(1))
    }

    /// A single message of another program arrives.
    fn meet(yielding: &mut Yielding, now: Moment) -> Option<Duration> {
        yielding.on_reply(false);
        yielding.saw_foreign_message(now);
        yield_for(yielding)
    }

    #[test]
    fn an_idle_worker_yields_until_the_message_is_available_again_and_then_polls_without_waiting() {
        let (mut yielding, now) = (Yielding::default(), Moment::EPOCH);
        assert_eq!(yield_for(&mut yielding), None);
        assert!(!yielding.polls_without_waiting());
        assert!(meet(&mut yielding, now).unwrap() >= 5 * SECOND);
        for _ in 0..SHORT_POLLS {
            assert!(yielding.polls_without_waiting());
            yielding.on_reply(false);
        }
        assert!(!yielding.polls_without_waiting(), "no other message arrived meanwhile");
    }

    #[test]
    fn a_worker_with_work_within_the_last_minute_does_not_yield() {
        let (mut yielding, now) = (Yielding::default(), Moment::EPOCH);
        meet(&mut yielding, now);
        yielding.worked(now);
        assert!(!yielding.polls_without_waiting());
        assert_eq!(meet(&mut yielding, now + 59 * SECOND), None);
        assert!(meet(&mut yielding, now + 60 * SECOND).is_some());
    }

    #[test]
    fn messages_behind_a_backlog_of_other_programs_are_reached_soon() {
        let mut yielding = Yielding::default();
        let mut away = Duration::ZERO;
        for _ in 0..1_000 {
            yielding.on_reply(true);
            yielding.saw_foreign_message(Moment::EPOCH);
            away += yield_for(&mut yielding).unwrap_or_default();
        }
        assert!(away <= 60 * SECOND, "{away:?}");
    }
}
