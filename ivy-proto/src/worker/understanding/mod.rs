//! What this worker understands of one physical queue, and what follows for what it does not.
//!
//! A message that cannot be decided here is given back, for longer each time. Beyond that:
//!
//! | what is not understood | many of it in a row | why |
//! | --- | --- | --- |
//! | a task's name, or its arguments | the *name* rests, [`names`] | another program or version knows it |
//! | keys, policy, clock, format | the *queue* rests, [`row`] | this worker's configuration may be wrong |
//! | anything, beside work that is understood | longest delays, [`flood`] | honest work goes on |
//! | a task, and this worker has nothing else to do | the worker [steps back](step_back) | the worker that knows it comes first |
//!
//! Nothing rests because of what anybody can post while the same kind of message is also understood:
//! "understood lately" means within the last minute, [`LATELY`].

mod flood;
mod names;
mod row;
mod step_back;

use std::time::Duration;

use crate::id::MessageId;
use crate::name::TaskName;
use crate::rng::Rng;
use crate::time::Moment;

use flood::Flood;
use names::Names;
use row::Row;
use step_back::StepBack;

/// So many in a row that are not understood are a sign that this worker lacks something.
const MANY: usize = 20;
/// How long a name or a queue rests; in a backlog a queue rests for less at first.
pub(super) const REST: Duration = Duration::from_secs(60);
/// How long ago something may have been understood to count as proof that it can be.
const LATELY: Duration = Duration::from_secs(60);

/// What a message that is not understood gives reason to doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt<'a> {
    /// Whether this worker has the handler of this task, in the version that takes the arguments.
    Task {
        task: &'a TaskName,
        /// What does not fit.
        misfit: &'a str,
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
pub(super) struct Understanding {
    understood_at: Option<Moment>,
    row: Row,
    names: Names,
    flood: Flood,
    step_back: StepBack,
    /// Whether the last answer brought as much as was asked for, at once.
    backlog: bool,
    told_of_sharing: bool,
}

impl Understanding {
    /// A message could be opened, and its task has a handler here. Says whether the queue was
    /// degraded until now.
    pub(super) fn understood(&mut self, now: Moment) -> bool {
        self.understood_at = Some(now);
        self.row.end()
    }

    /// A handler took its arguments. Says whether its task's name was degraded until now.
    pub(super) fn handled(&mut self, task: &TaskName, now: Moment) -> bool {
        self.flood.less();
        self.step_back.worked(now);
        self.names.fits(task, now)
    }

    /// A message came that is not understood.
    pub(super) fn not_understood(
        &mut self,
        message: &MessageId,
        doubt: Doubt<'_>,
        now: Moment,
    ) -> Consequence {
        let flooded = self.flood.one_more(now);
        let mut consequence = match doubt {
            Doubt::Task { task, misfit } => self.names.misfit(task, message, misfit, now),
            Doubt::Queue => self.row.one_more(message, self.understood_lately(now), self.backlog),
        };
        consequence.longest_delay |= flooded;
        consequence
    }

    /// If a message of this name is to be given back without being tried: what did not fit last.
    pub(super) fn resting_misfit(&mut self, task: &TaskName, now: Moment) -> Option<&str> {
        self.names.resting_misfit(task, now)
    }

    /// Whether anything of the queue was understood within the last minute.
    pub(super) fn understood_lately(&self, now: Moment) -> bool {
        lately(self.understood_at, now)
    }

    /// A message that is for others was released, while the queue was polled.
    pub(super) fn met_another(&mut self, now: Moment) {
        self.step_back.met_another(now);
    }

    /// The queue has answered. `backlog` tells that it had as much as it was asked for, at once.
    pub(super) fn answered(&mut self, backlog: bool) {
        self.backlog = backlog;
        self.step_back.answered(backlog);
    }

    /// Whether to look for messages without waiting for one, since others are to come first.
    pub(super) fn only_looks(&self) -> bool {
        self.step_back.only_looks()
    }

    /// How long to rest after a look that brought nothing.
    pub(super) fn rest_between_looks(&self, rng: &mut Rng) -> Option<Duration> {
        self.step_back.rest_between_looks(rng)
    }

    /// For how long to leave the queue to others, if it is time to step back. To be asked while the
    /// queue is polled only.
    pub(super) fn steps_back(&mut self, rng: &mut Rng) -> Option<Duration> {
        self.step_back.rest(rng)
    }

    /// Whether to tell now, once, that another program uses the queue as well: where its tasks come,
    /// and none of this worker's.
    pub(super) fn tells_of_sharing(&mut self, now: Moment) -> bool {
        let has_work = self.step_back.worked_lately(now);
        !has_work && !std::mem::replace(&mut self.told_of_sharing, true)
    }
}

fn lately(at: Option<Moment>, now: Moment) -> bool {
    at.is_some_and(|at| now.since(at) < LATELY)
}
