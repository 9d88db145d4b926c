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
const BETWEEN_LOOKS: (Duration, Duration) = (Duration::from_millis(2_500), Duration::from_secs(5));
/// How often to look before waiting again: for a minute, in which nine others meet a message in turn.
const LOOKS: u32 = 15;
/// How many more messages for others may be met in a backlog each time.
const GROWTH: u32 = 4;
const MOST_AT_ONCE: u32 = 16_384;

#[derive(Debug)]
pub(super) struct StepBack {
    /// When a handler took its arguments last.
    worked_at: Option<Moment>,
    /// How many messages for others were met since the worker stepped back last.
    met: u32,
    /// How many of them it may meet in a backlog.
    may_meet: u32,
    /// Whether the last answer brought as much as was asked for, at once.
    backlog: bool,
    /// How often to look before waiting again.
    looks: u32,
}

impl Default for StepBack {
    fn default() -> Self {
        StepBack { worked_at: None, met: 0, may_meet: 1, backlog: false, looks: 0 }
    }
}

impl StepBack {
    /// A handler took its arguments: this worker has work of its own.
    pub(super) fn worked(&mut self, now: Moment) {
        *self = StepBack { worked_at: Some(now), ..StepBack::default() };
    }

    pub(super) fn worked_lately(&self, now: Moment) -> bool {
        lately(self.worked_at, now)
    }

    /// A message for others was released.
    pub(super) fn met_another(&mut self, now: Moment) {
        if !self.worked_lately(now) {
            self.met = self.met.saturating_add(1);
        }
    }

    /// The queue has answered.
    pub(super) fn answered(&mut self, backlog: bool) {
        self.backlog = backlog;
        if !backlog {
            self.may_meet = 1;
            self.looks = self.looks.saturating_sub(1);
        }
    }

    /// Whether the queue is only looked into, without waiting for a message.
    pub(super) fn only_looks(&self) -> bool {
        self.looks > 0
    }

    /// How long to rest after a look that brought nothing.
    pub(super) fn rest_between_looks(&self, rng: &mut Rng) -> Option<Duration> {
        let (shortest, longest) = BETWEEN_LOOKS;
        self.only_looks().then(|| rng.between(shortest, longest))
    }

    /// Steps back, if it is time. Gives how long to stop polling.
    pub(super) fn rest(&mut self, rng: &mut Rng) -> Option<Duration> {
        let goes_on = self.backlog && self.met < self.may_meet;
        if self.met == 0 || goes_on {
            return None;
        }
        (self.met, self.looks) = (0, LOOKS);
        if self.backlog {
            self.may_meet = (self.may_meet * GROWTH).min(MOST_AT_ONCE);
        }
        Some(rng.between(REST.0, REST.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn rest(step_back: &mut StepBack) -> Option<Duration> {
        step_back.rest(&mut Rng::from_number(1))
    }

    /// A message for others comes alone.
    fn meet(step_back: &mut StepBack, now: Moment) -> Option<Duration> {
        step_back.answered(false);
        step_back.met_another(now);
        rest(step_back)
    }

    #[test]
    fn a_worker_without_work_stays_away_until_the_message_is_there_again_and_then_looks() {
        let (mut step_back, now) = (StepBack::default(), Moment::EPOCH);
        assert_eq!(rest(&mut step_back), None);
        assert!(!step_back.only_looks());
        assert!(meet(&mut step_back, now).unwrap() >= 5 * SECOND);
        for _ in 0..LOOKS {
            assert!(step_back.only_looks());
            step_back.answered(false);
        }
        assert!(!step_back.only_looks(), "nothing of others was there meanwhile");
    }

    #[test]
    fn a_worker_that_has_had_work_within_the_last_minute_stays() {
        let (mut step_back, now) = (StepBack::default(), Moment::EPOCH);
        meet(&mut step_back, now);
        step_back.worked(now);
        assert!(!step_back.only_looks());
        assert_eq!(meet(&mut step_back, now + 59 * SECOND), None);
        assert!(meet(&mut step_back, now + 60 * SECOND).is_some());
    }

    #[test]
    fn what_lies_behind_a_backlog_for_others_is_reached_soon() {
        let mut step_back = StepBack::default();
        let mut away = Duration::ZERO;
        for _ in 0..1_000 {
            step_back.answered(true);
            step_back.met_another(Moment::EPOCH);
            away += rest(&mut step_back).unwrap_or_default();
        }
        assert!(away <= 60 * SECOND, "{away:?}");
    }
}
