//! Tracks the messages of one physical queue that this worker cannot process, and how to react to
//! them.
//!
//! A message that this worker cannot decide on is released, with a longer delay each time. Beyond
//! that:
//!
//! | what cannot be processed | reaction to many in a row | why |
//! | --- | --- | --- |
//! | a task's name, or its arguments | the *name* is paused, [`mismatches`] | another program or version knows it |
//! | keys, policy, clock, format | the *queue* is paused, [`streak`] | this worker's configuration may be wrong |
//! | anything, next to messages that can be processed | longest delays, [`flood`] | valid messages continue |
//! | a task, and this worker has nothing else to do | the worker [yields](yielding) | the worker that knows it comes first |
//!
//! A peer cannot pause a queue or a name by posting messages if messages of the same kind were
//! processed within the last minute ([`RECENTLY`]).

mod flood;
mod mismatches;
mod streak;
mod yielding;

use std::time::Duration;

use crate::id::MessageId;
use crate::name::TaskName;
use crate::rng::Rng;
use crate::time::Moment;

use flood::Flood;
use mismatches::Mismatches;
use streak::Streak;
use yielding::Yielding;

/// This many unprocessable messages in a row suggest that this worker lacks something.
const MANY: usize = 20;
/// How long a name or a queue is paused; in a backlog the first pauses of a queue are shorter.
pub(super) const PAUSE: Duration = Duration::from_secs(60);
/// How recent a processable message must be to prove that this worker can process its kind.
const RECENTLY: Duration = Duration::from_secs(60);

/// After this time without such a message, a queue or a name is no longer degraded: about twice the
/// longest delay of a release.
const UNSEEN_AFTER: Duration = Duration::from_secs(600);
/// For so long after that, their messages are still not dead-lettered: with many workers, one of them
/// may not see any for a while.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// What is no longer degraded, because none of its messages was seen for long.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unseen {
    /// The messages of the queue.
    pub(super) messages: bool,
    /// The messages of tasks with these names.
    pub(super) tasks: Vec<TaskName>,
}

/// What an unprocessable message calls into question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnprocessableCause<'a> {
    /// Whether this worker has a handler for this task that accepts the arguments.
    Task {
        task: &'a TaskName,
        /// Why the message does not match.
        mismatch: &'a str,
    },
    /// This worker's keys, policy, clock or formats.
    Queue,
}

/// The reaction to an unprocessable message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Consequence {
    /// Release it with the longest delay. That of a task which another program may be about to
    /// receive is brief at first.
    pub(super) longest_delay: bool,
    /// It is one of a long flood.
    pub(super) in_long_flood: bool,
    /// It must not be dead-lettered, because this worker may be at fault.
    pub(super) must_be_kept: bool,
    /// The queue, or the task's name, has just become degraded.
    pub(super) degraded: bool,
    /// Pause the queue for this long.
    pub(super) pause: Option<Duration>,
}

/// The unprocessable messages of one physical queue.
#[derive(Debug, Default)]
pub(super) struct UnprocessableMessages {
    processed_at: Option<Moment>,
    streak: Streak,
    /// When a message was last added to the streak.
    streak_at: Moment,
    /// Until when such messages are not dead-lettered.
    kept_until: Option<Moment>,
    mismatches: Mismatches,
    flood: Flood,
    yielding: Yielding,
    /// Whether the last reply contained as many messages as requested, without a wait.
    backlog: bool,
    reported_sharing: bool,
}

impl UnprocessableMessages {
    /// Records a message that could be opened and has a handler. Returns whether the queue was
    /// degraded.
    pub(super) fn record_processed(&mut self, now: Moment) -> bool {
        self.processed_at = Some(now);
        self.kept_until = None;
        self.streak.end()
    }

    /// Records that a handler accepted its arguments. Returns whether the task's name was degraded.
    pub(super) fn handled(&mut self, task: &TaskName, now: Moment) -> bool {
        self.flood.record_handled();
        self.yielding.worked(now);
        self.mismatches.fits(task, now)
    }

    /// Records an unprocessable message.
    pub(super) fn record_unprocessable(
        &mut self,
        message: &MessageId,
        cause: UnprocessableCause<'_>,
        now: Moment,
    ) -> Consequence {
        let flooded = self.flood.record(now);
        let mut consequence = match cause {
            UnprocessableCause::Task { task, mismatch } => {
                self.mismatches.mismatch(task, message, mismatch, now)
            }
            UnprocessableCause::Queue => {
                self.streak_at = now;
                let consequence =
                    self.streak.record(message, self.processed_recently(now), self.backlog);
                let is_kept = self.kept_until.is_some_and(|until| now < until);
                Consequence { must_be_kept: consequence.must_be_kept || is_kept, ..consequence }
            }
        };
        consequence.longest_delay |= flooded;
        consequence.in_long_flood = self.flood.is_long();
        consequence
    }

    /// What is no longer degraded, because none of its messages was seen for long.
    pub(super) fn take_unseen(&mut self, now: Moment) -> Unseen {
        let is_unseen = self.streak.is_degraded() && now.since(self.streak_at) >= UNSEEN_AFTER;
        if is_unseen {
            self.streak.end();
            self.kept_until = Some(now + KEPT_FOR);
        }
        Unseen { messages: is_unseen, tasks: self.mismatches.take_unseen(now) }
    }

    /// Returns the last mismatch if a message of this name is to be released untried.
    pub(super) fn paused_mismatch(&mut self, task: &TaskName, now: Moment) -> Option<&str> {
        self.mismatches.paused_mismatch(task, now)
    }

    /// Whether a message of the queue could be processed within the last minute.
    pub(super) fn processed_recently(&self, now: Moment) -> bool {
        is_recent(self.processed_at, now)
    }

    /// Records the release of a message of another program.
    pub(super) fn saw_foreign_message(&mut self, now: Moment) {
        self.yielding.saw_foreign_message(now);
    }

    /// Records a reply. `backlog`: it contained as many messages as requested, without a wait.
    pub(super) fn on_reply(&mut self, backlog: bool) {
        self.backlog = backlog;
        self.yielding.on_reply(backlog);
    }

    /// Whether to poll without waiting, because other workers are to come first.
    pub(super) fn polls_without_waiting(&self) -> bool {
        self.yielding.polls_without_waiting()
    }

    /// The pause after a short poll that returned nothing.
    pub(super) fn pause_between_short_polls(&self, rng: &mut Rng) -> Option<Duration> {
        self.yielding.pause_between_short_polls(rng)
    }

    /// How long to leave the queue to others, if the worker is to yield now. Call it after each reply
    /// that did not pause the queue.
    pub(super) fn yields(&mut self, rng: &mut Rng) -> Option<Duration> {
        self.yielding.yield_for(self.flood.is_long(), rng)
    }

    /// Whether a handler accepted its arguments within the last minute.
    pub(super) fn has_work(&self, now: Moment) -> bool {
        self.yielding.worked_recently(now)
    }

    /// Whether to report now, once, that another program uses the queue as well: its tasks arrive,
    /// and none of this worker's.
    pub(super) fn reports_sharing(&mut self, now: Moment) -> bool {
        !self.has_work(now) && !std::mem::replace(&mut self.reported_sharing, true)
    }
}

fn is_recent(at: Option<Moment>, now: Moment) -> bool {
    at.is_some_and(|at| now.since(at) < RECENTLY)
}
