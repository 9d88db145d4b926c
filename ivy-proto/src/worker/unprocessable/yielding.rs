//! Decides when to yield a queue to other workers.
//!
//! If several programs, or several versions of one, share a queue, each message goes to any worker
//! that waits for it. A worker without work of its own always waits, so it receives most of the
//! messages that it cannot process: if only one of ten workers knows a task, its messages would be
//! released again and again. Therefore a worker that receives tasks of others, and has had none of
//! its own for a minute, yields: it pauses, and then polls a few times without waiting. Workers that
//! wait receive each message first; messages for which no worker waits are still found. It pauses
//!
//! * for some seconds when it has received everything, because nothing of its own is behind it;
//! * in a backlog only to limit the rate at which it receives such messages, because its own may be
//!   behind them.

use std::time::Duration;

use crate::rng::Rng;
use crate::time::Moment;

use super::is_recent;

/// The pause when everything was received, and between two short polls: at most as long as for a
/// backend without long polls.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2_500), Duration::from_secs(5));
/// The pause in a backlog for each message of another program: that program's workers get a share of
/// the messages, and a message of its own behind a thousand of them waits for a second.
const PAUSE_PER_MESSAGE: Duration = Duration::from_millis(1);
/// The same in a long flood, behind which its own would wait for minutes.
const PAUSE_PER_MESSAGE_IN_LONG_FLOOD: Duration = Duration::from_micros(500);
/// How many short polls precede the next long poll: they cover a minute, in which nine other
/// workers can receive the message in turn.
const SHORT_POLLS: u32 = 15;

#[derive(Debug, Default)]
pub(super) struct Yielding {
    /// When a handler last accepted its arguments.
    worked_at: Option<Moment>,
    /// How many messages of other programs were received since the last pause.
    foreign: u32,
    /// Whether the last reply contained as many messages as requested, without a wait.
    backlog: bool,
    /// How many short polls remain before the next long poll.
    short_polls: u32,
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
            self.short_polls = self.short_polls.saturating_sub(1);
        }
    }

    /// Whether to poll without waiting.
    pub(super) fn polls_without_waiting(&self) -> bool {
        self.short_polls > 0
    }

    /// The pause after a short poll that returned nothing.
    pub(super) fn pause_between_short_polls(&self, rng: &mut Rng) -> Option<Duration> {
        self.polls_without_waiting().then(|| rng.between(PAUSE.0, PAUSE.1))
    }

    /// Yields if messages of other programs were received. Returns how long to pause.
    pub(super) fn yield_for(&mut self, in_long_flood: bool, rng: &mut Rng) -> Option<Duration> {
        let foreign = std::mem::take(&mut self.foreign);
        if foreign == 0 {
            return None;
        }
        self.short_polls = SHORT_POLLS;
        let is_all = !self.backlog;
        Some(match in_long_flood {
            _ if is_all => rng.between(PAUSE.0, PAUSE.1),
            true => PAUSE_PER_MESSAGE_IN_LONG_FLOOD * foreign,
            false => PAUSE_PER_MESSAGE * foreign,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn yield_for(yielding: &mut Yielding) -> Option<Duration> {
        yielding.yield_for(false, &mut Rng::from_number(1))
    }

    /// A single message of another program arrives.
    fn meet(yielding: &mut Yielding, now: Moment) -> Option<Duration> {
        yielding.on_reply(false);
        yielding.saw_foreign_message(now);
        yield_for(yielding)
    }

    #[test]
    fn an_idle_worker_pauses_after_a_task_of_another_program_and_then_polls_without_waiting() {
        let (mut yielding, now) = (Yielding::default(), Moment::EPOCH);
        assert_eq!(yield_for(&mut yielding), None);
        assert!(!yielding.polls_without_waiting());
        assert!(meet(&mut yielding, now).unwrap() >= 2 * SECOND);
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
    fn in_a_backlog_the_pauses_are_as_long_as_the_number_of_messages_requires() {
        let mut yielding = Yielding::default();
        let mut paused = Duration::ZERO;
        for count in [1, 10, 100, 889] {
            yielding.on_reply(true);
            (0..count).for_each(|_| yielding.saw_foreign_message(Moment::EPOCH));
            paused += yield_for(&mut yielding).unwrap();
            assert!(yielding.polls_without_waiting(), "released messages are left to others");
        }
        assert_eq!(paused, SECOND);
        yielding.on_reply(false);
        assert_eq!(yield_for(&mut yielding), None, "nothing more of other programs");
    }
}
