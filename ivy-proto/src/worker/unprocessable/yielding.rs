//! When to leave a queue to others.
//!
//! Where several programs, or several versions of one, share a queue, each message goes to whichever
//! worker waits for it. A worker without work of its own always waits, and so takes most of what is
//! not for it: among ten workers of which one knows a task, its messages would be released again and
//! again. So a worker that meets tasks for others, and has had none of its own for a minute, steps
//! back: it stops polling until what it released is there again, and then looks a few times whether a
//! message is left, without waiting for one. Who waits gets each message first; what nobody waits for
//! is still found. The worker steps back
//!
//! * when what it met was all there was, since nothing lies behind it;
//! * in a backlog after it has met as many as it may. That number grows each time, since work of its
//!   own may lie behind what is for others.

use std::time::Duration;

use crate::rng::Rng;
use crate::time::Moment;

use super::lately;

/// How long to stop polling: at least until what was released first is there again.
const REST: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(10));
/// How long to rest between two looks: no longer than where a backend does not wait at all.
const BETWEEN_SHORT_POLLS: (Duration, Duration) =
    (Duration::from_millis(2_500), Duration::from_secs(5));
/// How often to look before waiting again: for a minute, in which nine others meet a message in turn.
const SHORT_POLLS: u32 = 15;
/// How many more messages for others may be met in a backlog each time.
const GROWTH: u32 = 4;
const MOST_AT_ONCE: u32 = 16_384;

#[derive(Debug)]
pub(super) struct Yielding {
    /// When a handler took its arguments last.
    worked_at: Option<Moment>,
    /// How many messages for others were met since the worker stepped back last.
    foreign: u32,
    /// How many of them it may meet in a backlog.
    most_foreign: u32,
    /// Whether the last answer brought as much as was asked for, at once.
    backlog: bool,
    /// How often to look before waiting again.
    short_polls: u32,
}

impl Default for Yielding {
    fn default() -> Self {
        Yielding { worked_at: None, foreign: 0, most_foreign: 1, backlog: false, short_polls: 0 }
    }
}

impl Yielding {
    /// A handler took its arguments: this worker has work of its own.
    pub(super) fn worked(&mut self, now: Moment) {
        *self = Yielding { worked_at: Some(now), ..Yielding::default() };
    }

    pub(super) fn worked_lately(&self, now: Moment) -> bool {
        lately(self.worked_at, now)
    }

    /// A message for others was released.
    pub(super) fn saw_foreign_message(&mut self, now: Moment) {
        if !self.worked_lately(now) {
            self.foreign = self.foreign.saturating_add(1);
        }
    }

    /// The queue has answered.
    pub(super) fn on_reply(&mut self, backlog: bool) {
        self.backlog = backlog;
        if !backlog {
            self.most_foreign = 1;
            self.short_polls = self.short_polls.saturating_sub(1);
        }
    }

    /// Whether the queue is only looked into, without waiting for a message.
    pub(super) fn polls_without_waiting(&self) -> bool {
        self.short_polls > 0
    }

    /// How long to rest after a look that brought nothing.
    pub(super) fn rest_between_short_polls(&self, rng: &mut Rng) -> Option<Duration> {
        let (shortest, longest) = BETWEEN_SHORT_POLLS;
        self.polls_without_waiting().then(|| rng.between(shortest, longest))
    }

    /// Steps back, if it is time. Gives how long to stop polling.
    pub(super) fn rest(&mut self, rng: &mut Rng) -> Option<Duration> {
        let goes_on = self.backlog && self.foreign < self.most_foreign;
        if self.foreign == 0 || goes_on {
            return None;
        }
        (self.foreign, self.short_polls) = (0, SHORT_POLLS);
        if self.backlog {
            self.most_foreign = (self.most_foreign * GROWTH).min(MOST_AT_ONCE);
        }
        Some(rng.between(REST.0, REST.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rest(yielding: &mut Yielding) -> Option<Duration> {
        yielding.rest(&mut Rng::from_number(1))
    }

    /// A message for others comes alone.
    fn meet(yielding: &mut Yielding, now: Moment) -> Option<Duration> {
        yielding.on_reply(false);
        yielding.saw_foreign_message(now);
        rest(yielding)
    }

    #[test]
    fn a_worker_without_work_stays_away_until_the_message_is_there_again_and_then_looks() {
        let (mut yielding, now) = (Yielding::default(), Moment::EPOCH);
        assert_eq!(rest(&mut yielding), None);
        assert!(!yielding.polls_without_waiting());
        assert!(meet(&mut yielding, now).unwrap() >= 5 * SECOND);
        for _ in 0..SHORT_POLLS {
            assert!(yielding.polls_without_waiting());
            yielding.on_reply(false);
        }
        assert!(!yielding.polls_without_waiting(), "nothing of others was there meanwhile");
    }

    #[test]
    fn a_worker_that_has_had_work_within_the_last_minute_stays() {
        let (mut yielding, now) = (Yielding::default(), Moment::EPOCH);
        meet(&mut yielding, now);
        yielding.worked(now);
        assert!(!yielding.polls_without_waiting());
        assert_eq!(meet(&mut yielding, now + 59 * SECOND), None);
        assert!(meet(&mut yielding, now + 60 * SECOND).is_some());
    }

    #[test]
    fn what_lies_behind_a_backlog_for_others_is_reached_soon() {
        let mut yielding = Yielding::default();
        let mut away = Duration::ZERO;
        for _ in 0..1_000 {
            yielding.on_reply(true);
            yielding.saw_foreign_message(Moment::EPOCH);
            away += rest(&mut yielding).unwrap_or_default();
        }
        assert!(away <= 60 * SECOND, "{away:?}");
    }
}
