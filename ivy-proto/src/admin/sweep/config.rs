//! What a sweep does, and on which queue.

use std::time::Duration;

use crate::error::Cause;
use crate::name::QueueName;
use crate::queue::{Capabilities, Fault, FaultKind, Lease, NameNotForBackend};

use super::super::filter::Filter;
use super::super::requeue::Requeue;

/// The default limit of messages that are looked at.
const LIMIT: usize = 10_000;
/// The limit in a queue that workers serve, because they wait for the messages.
const LIVE_LIMIT: usize = 1_000;

/// The maximum number of requests while a sweep looks.
const MAX_REQUESTS: u64 = 10_000;
/// The maximum size of the bodies of all selected messages, in bytes.
const MOST_BYTES: usize = 128 << 20;

/// The lease of messages that may be processed. What does not match may stay leased until it ends,
/// and so does everything if the sweep is killed.
const LEASE: Duration = Duration::from_secs(60);
/// The lease of dead letters that are only shown. Other operators wait for them if the sweep is
/// killed.
const LOOK_LEASE: Duration = Duration::from_secs(120);
/// The longest that the lease of a message must last when its turn comes: a post and a delete.
const LEASE_FOR_WORK: Duration = Duration::from_secs(30);

/// What a sweep does with the messages that its filter selects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Nothing: it only shows them.
    Look,
    /// Post the tasks of dead letters to their queues, and delete the letters.
    Requeue(Requeue),
    /// Delete dead letters.
    Delete,
    /// Post messages to another queue, and delete them.
    Move(Requeue),
}

/// What a sweep does, and on which queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepConfig {
    pub(super) queue: QueueName,
    pub(super) action: Action,
    pub(super) filter: Filter,
    /// How many messages the operator wants to be looked at, if that is specified.
    pub(super) limit: Option<usize>,
    pub(super) force: bool,
    pub(super) plan_only: bool,
}

/// A sweep cannot be started. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotSweep {
    /// The backend cannot do it: a fault of the kind [`FaultKind::Unsupported`].
    #[error("{0}")]
    Unsupported(Fault),
    /// The queue does not contain dead letters.
    #[error(
        "queue {0} is not a dead-letter queue, whose name ends with `.dead`; move its messages instead"
    )]
    NotDeadLetters(QueueName),
    /// The filter has conditions that only dead letters can meet.
    #[error("the filter selects by reason or time, which only dead letters have")]
    FilterOfDeadLetters,
    /// Messages would be moved between tasks and dead letters.
    #[error(
        "messages cannot be moved from queue {from} to queue {to}: only one of them is a dead-letter queue; to move dead letters to a queue of tasks, requeue them; to return messages to the dead-letter queue of their own queue, move them unchanged (`--raw`)"
    )]
    TasksAndDeadLetters {
        /// The swept queue.
        from: QueueName,
        /// The other one.
        to: QueueName,
    },
    /// The messages would be posted to the queue that they are in.
    #[error("the messages are in queue {0} already; choose another queue")]
    SameQueue(QueueName),
    /// The backend cannot have the target queue.
    #[error("{0}")]
    Name(#[from] NameNotForBackend),
    /// The delay is longer than the backend's longest.
    #[error(
        "the delay of {delay:?} is longer than the queue's longest, {longest:?}; choose a shorter one"
    )]
    DelayTooLong {
        /// The delay.
        delay: Duration,
        /// The longest one.
        longest: Duration,
    },
}

impl From<CannotSweep> for Cause {
    fn from(error: CannotSweep) -> Self {
        match error {
            CannotSweep::Unsupported(fault) => Cause::Queue(fault),
            error => Cause::config(error),
        }
    }
}

impl SweepConfig {
    /// Shows the dead letters of this dead-letter queue.
    #[must_use]
    pub fn look(dead_letters: QueueName) -> Self {
        SweepConfig::of(dead_letters, Action::Look)
    }

    /// Requeues the dead letters of this dead-letter queue: posts each to the queue that it came
    /// from, or to another one, and deletes it.
    #[must_use]
    pub fn requeue(dead_letters: QueueName, requeue: Requeue) -> Self {
        SweepConfig::of(dead_letters, Action::Requeue(requeue))
    }

    /// Deletes the dead letters of this dead-letter queue.
    #[must_use]
    pub fn delete(dead_letters: QueueName) -> Self {
        SweepConfig::of(dead_letters, Action::Delete)
    }

    /// Moves messages from one physical queue to another: posts each there, and deletes it here.
    /// Both are queues of tasks, or both are dead-letter queues.
    ///
    /// In a queue of tasks, only messages that are ready are moved, and at most 1,000 of them are
    /// looked at.
    #[must_use]
    pub fn transfer(from: QueueName, to: QueueName, requeue: Requeue) -> Self {
        SweepConfig::of(from, Action::Move(requeue.to(to)))
    }

    fn of(queue: QueueName, action: Action) -> Self {
        let filter = Filter::new();
        SweepConfig { queue, action, filter, limit: None, force: false, plan_only: false }
    }

    /// Sets which messages are selected. Default: all.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets how many messages are looked at, whether selected or not. Default: 10,000.
    #[must_use]
    pub fn with_limit(mut self, messages: usize) -> Self {
        self.limit = Some(messages);
        self
    }

    /// Permits to look through a queue that workers serve although its server counts that as a
    /// delivery of each message.
    #[must_use]
    pub fn with_force(mut self) -> Self {
        self.force = true;
        self
    }

    /// Ends the sweep after its plan, which then needs no answer. Nothing is changed, and messages
    /// are leased for as short a time as by a [`look`](SweepConfig::look).
    #[must_use]
    pub fn with_plan_only(mut self) -> Self {
        self.plan_only = true;
        self
    }

    /// The queue that is swept.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// How many messages are looked at, if that was [set](SweepConfig::with_limit).
    #[must_use]
    pub fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// What is done with the selected messages.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// Whether workers may serve the queue.
    pub(super) fn is_live(&self) -> bool {
        self.queue.of_dead_letters().is_none()
    }

    /// Whether nothing is done with the messages but showing them.
    pub(super) fn is_look(&self) -> bool {
        self.plan_only || self.action == Action::Look
    }

    /// How messages are posted, if they are.
    pub(super) fn requeue_options(&self) -> Option<&Requeue> {
        match &self.action {
            Action::Requeue(requeue) | Action::Move(requeue) => Some(requeue),
            Action::Look | Action::Delete => None,
        }
    }

    /// Checks that the sweep is possible, and returns its times and limits.
    pub(super) fn limits(&self, backend: &Capabilities) -> Result<Limits, CannotSweep> {
        let Lease::Timed { shortest, longest, .. } = backend.lease else {
            let what = "hold its messages while they are looked through";
            let instead = "use the server's own tools";
            return Err(unsupported(what, instead));
        };
        self.check_queues(backend)?;
        let live = self.is_live();
        if live && backend.admin.release_counts && !self.filter.is_empty() && !self.force {
            let what = "be looked through without counting a delivery of each message";
            let instead = "move all messages without a filter, or permit the count (`--force`)";
            return Err(unsupported(what, instead));
        }
        let longest = backend.longest_hold.map_or(longest, |hold| hold.min(longest));
        let lease = if self.is_look() && !live { LOOK_LEASE } else { LEASE };
        let lease = lease.max(shortest).min(longest);
        let limit = self.limit.unwrap_or(LIMIT);
        Ok(Limits {
            lease,
            // Workers wait for the messages of a live queue, and leases that end are not replaced.
            looking: if live { lease / 4 } else { lease / 4 * 3 },
            for_work: LEASE_FOR_WORK.min(lease / 3),
            renewal: lease / 5,
            messages: if live { limit.min(LIVE_LIMIT) } else { limit },
            requests: MAX_REQUESTS,
            releases: backend.admin.pipelined_releases.max(1),
            bytes: MOST_BYTES,
            reserve: backend.batch.reserve,
            post: backend.batch.post,
            delete: backend.batch.delete,
            max_body: backend.max_body,
            posts_bytes: backend.posts_bytes,
            max_request: backend.max_request,
        })
    }

    /// Whether it moves the bytes of messages unchanged to the dead-letter queue of their queue, from
    /// where a requeue returns them. A sealed letter that was posted by mistake can be opened only
    /// there.
    fn returns_letters(&self, to: &QueueName) -> bool {
        let Action::Move(requeue) = &self.action else { return false };
        requeue.raw && to.of_dead_letters().as_ref() == Some(&self.queue)
    }

    fn check_queues(&self, backend: &Capabilities) -> Result<(), CannotSweep> {
        let live = self.is_live();
        if live && !matches!(self.action, Action::Move(_)) {
            return Err(CannotSweep::NotDeadLetters(self.queue.clone()));
        }
        if live && self.filter.needs_dead_letters() {
            return Err(CannotSweep::FilterOfDeadLetters);
        }
        let Some(requeue) = self.requeue_options() else { return Ok(()) };
        if let Some(to) = &requeue.to {
            if *to == self.queue {
                return Err(CannotSweep::SameQueue(to.clone()));
            }
            let dead_to_dead = !live && matches!(self.action, Action::Move(_));
            if to.of_dead_letters().is_some() != dead_to_dead && !self.returns_letters(to) {
                let (from, to) = (self.queue.clone(), to.clone());
                return Err(CannotSweep::TasksAndDeadLetters { from, to });
            }
            backend.check_name(to)?;
        }
        if requeue.delay > backend.max_delay {
            let (delay, longest) = (requeue.delay, backend.max_delay);
            return Err(CannotSweep::DelayTooLong { delay, longest });
        }
        Ok(())
    }
}

fn unsupported(what: &'static str, instead: &'static str) -> CannotSweep {
    CannotSweep::Unsupported(Fault::new(FaultKind::Unsupported { what, instead }))
}

/// The times and limits of a sweep over its backend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long messages are leased.
    pub(super) lease: Duration,
    /// How long messages are reserved, from the first reserve on.
    pub(super) looking: Duration,
    /// How long a lease must last when the turn of its message comes.
    pub(super) for_work: Duration,
    /// A lease that ends sooner than this is renewed, if its message waits for its turn.
    pub(super) renewal: Duration,
    /// How many messages are looked at.
    pub(super) messages: usize,
    /// How many requests are sent while messages are looked at.
    pub(super) requests: u64,
    /// How many releases are in flight at a time.
    pub(super) releases: usize,
    /// The limit of the bodies of selected messages, in bytes.
    pub(super) bytes: usize,
    pub(super) reserve: usize,
    pub(super) post: usize,
    pub(super) delete: usize,
    pub(super) max_body: usize,
    pub(super) posts_bytes: bool,
    pub(super) max_request: usize,
}
