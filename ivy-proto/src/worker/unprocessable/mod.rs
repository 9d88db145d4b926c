//! What this worker understands of one physical queue, and what follows for what it does not.
//!
//! A message that cannot be decided here is given back, for longer each time. Beyond that:
//!
//! | what is not understood | many of it in a row | why |
//! | --- | --- | --- |
//! | a task's name, or its arguments | the *name* rests, [`mismatches`] | another program or version knows it |
//! | keys, policy, clock, format | the *queue* rests, [`streak`] | this worker's configuration may be wrong |
//! | anything, beside work that is understood | longest delays, [`flood`] | honest work goes on |
//! | a task, and this worker has nothing else to do | the worker [steps back](yielding) | the worker that knows it comes first |
//!
//! Nothing rests because of what anybody can post while the same kind of message is also understood:
//! "understood lately" means within the last minute, [`LATELY`].

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

/// So many in a row that are not understood are a sign that this worker lacks something.
const MANY: usize = 20;
/// How long a name or a queue rests; in a backlog a queue rests for less at first.
pub(super) const REST: Duration = Duration::from_secs(60);
/// How long ago something may have been understood to count as proof that it can be.
const LATELY: Duration = Duration::from_secs(60);

/// What a message that is not understood gives reason to doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UnprocessableCause<'a> {
    /// Whether this worker has the handler of this task, in the version that takes the arguments.
    Task {
        task: &'a TaskName,
        /// What does not fit.
        mismatch: &'a str,
    },
    /// This worker's keys, policy, clock or formats.
    Queue,
}

/// What follows from a message that is not understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Consequence {
    /// It is to stay away for the longest time.
    pub(super) longest_delay: bool,
    /// It must not be dead-lettered: the fault may be this worker's.
    pub(super) kept: bool,
    /// The queue, or the task's name, has just become degraded.
    pub(super) degraded: bool,
    /// The queue is to rest for so long.
    pub(super) rest: Option<Duration>,
}

/// What a worker understands of one physical queue.
#[derive(Debug, Default)]
pub(super) struct UnprocessableMessages {
    understood_at: Option<Moment>,
    streak: Streak,
    mismatches: Mismatches,
    flood: Flood,
    yielding: Yielding,
    /// Whether the last answer brought as much as was asked for, at once.
    backlog: bool,
    reported_sharing: bool,
}

impl UnprocessableMessages {
    /// A message could be opened, and its task has a handler here. Says whether the queue was
    /// degraded until now.
    pub(super) fn understood(&mut self, now: Moment) -> bool {
        self.understood_at = Some(now);
        self.streak.end()
    }

    /// A handler took its arguments. Says whether its task's name was degraded until now.
    pub(super) fn handled(&mut self, task: &TaskName, now: Moment) -> bool {
        self.flood.record_handled();
        self.yielding.worked(now);
        self.mismatches.fits(task, now)
    }

    /// A message came that is not understood.
    pub(super) fn not_understood(
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
                self.streak.record(message, self.understood_lately(now), self.backlog)
            }
        };
        consequence.longest_delay |= flooded;
        consequence
    }

    /// If a message of this name is to be given back without being tried: what did not fit last.
    pub(super) fn resting_mismatch(&mut self, task: &TaskName, now: Moment) -> Option<&str> {
        self.mismatches.resting_mismatch(task, now)
    }

    /// Whether anything of the queue was understood within the last minute.
    pub(super) fn understood_lately(&self, now: Moment) -> bool {
        lately(self.understood_at, now)
    }

    /// A message that is for others was released, while the queue was polled.
    pub(super) fn saw_foreign_message(&mut self, now: Moment) {
        self.yielding.saw_foreign_message(now);
    }

    /// The queue has answered. `backlog` tells that it had as much as it was asked for, at once.
    pub(super) fn on_reply(&mut self, backlog: bool) {
        self.backlog = backlog;
        self.yielding.on_reply(backlog);
    }

    /// Whether to look for messages without waiting for one, since others are to come first.
    pub(super) fn polls_without_waiting(&self) -> bool {
        self.yielding.polls_without_waiting()
    }

    /// How long to rest after a look that brought nothing.
    pub(super) fn rest_between_short_polls(&self, rng: &mut Rng) -> Option<Duration> {
        self.yielding.rest_between_short_polls(rng)
    }

    /// For how long to leave the queue to others, if it is time to step back. To be asked while the
    /// queue is polled only.
    pub(super) fn yields(&mut self, rng: &mut Rng) -> Option<Duration> {
        self.yielding.rest(rng)
    }

    /// Whether to tell now, once, that another program uses the queue as well: where its tasks come,
    /// and none of this worker's.
    pub(super) fn reports_sharing(&mut self, now: Moment) -> bool {
        let has_work = self.yielding.worked_lately(now);
        !has_work && !std::mem::replace(&mut self.reported_sharing, true)
    }
}

fn lately(at: Option<Moment>, now: Moment) -> bool {
    at.is_some_and(|at| now.since(at) < LATELY)
}
