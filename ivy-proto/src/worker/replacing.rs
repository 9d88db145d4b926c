//! Replaces a message with a copy that carries the number of its lost deliveries: see
//! [`lost_deliveries`](super::lost_deliveries).
//!
//! The copy is posted first and the message deleted second, so a crash in between leaves both.
//! While a message is being replaced, no redelivered message is started, because it may crash this
//! worker: two copies would become four.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::event::{Event, ReleaseReason};
use crate::id::JobId;
use crate::queue::Fault;

use super::Worker;
use super::job::{Replacement, Settlement};

#[derive(Debug, Default)]
pub(super) struct Replacing {
    /// The message that is about to start. It keeps its slot.
    start: Option<JobId>,
    releases: BTreeSet<JobId>,
}

impl Replacing {
    pub(super) fn any(&self) -> bool {
        self.start.is_some() || !self.releases.is_empty()
    }

    /// How many slots the replacements use.
    pub(super) fn slots(&self) -> usize {
        usize::from(self.start.is_some())
    }

    /// The replacement of this job has ended.
    pub(super) fn ended(&mut self, job: JobId) {
        self.start.take_if(|start| *start == job);
        self.releases.remove(&job);
    }
}

impl Worker {
    /// Replaces a message that is about to start. If the copy is too large, starts the message
    /// itself.
    pub(super) fn replace_before_start(&mut self, job: JobId) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let Some(scheduled) = &held.scheduled else { return };
        let lost = held.deliveries.lost;
        let envelope = scheduled.copy(|ivy| ivy.lost = lost);
        let copy = self.config.codec.seal(&envelope, &held.queue, &mut self.fx.entropy);
        if copy.as_str().len() > self.config.capabilities.max_body {
            held.deliveries.keep_the_message();
            return self.run(job);
        }
        self.replacing.start = Some(job);
        let why = Replacement::Start { lost };
        self.settle_as(job, Settlement::Replace { copy, why });
    }

    /// Replaces a message that is released deliberately, if its next delivery would otherwise look
    /// like one after a lost delivery. Returns whether it does.
    pub(super) fn replace_at_release(
        &mut self,
        job: JobId,
        delay: Duration,
        reason: ReleaseReason,
    ) -> bool {
        let Some(held) = self.jobs.get(&job) else { return false };
        let is_due = held.deliveries.replace_at_release(held.lease.renewals());
        if !is_due || !stays_the_same(reason) {
            return false;
        }
        let Some(scheduled) = &held.scheduled else { return false };
        let envelope = scheduled.copy(|_| {});
        let copy = self.config.codec.seal(&envelope, &held.queue, &mut self.fx.entropy);
        if copy.as_str().len() > self.config.capabilities.max_body {
            return false;
        }
        self.replacing.releases.insert(job);
        let why = Replacement::Release { delay, reason };
        self.settle_as(job, Settlement::Replace { copy, why });
        true
    }

    /// The queue accepted the copy.
    pub(super) fn replaced(&mut self, job: JobId, why: Replacement) {
        let Some(held) = self.jobs.get(&job) else { return };
        let (queue, row) = (held.queue.clone(), held.row);
        let message = held.lease.receipt().message.clone();
        let task = held.scheduled.as_ref().map(|scheduled| scheduled.task.clone());
        match (why, task) {
            (Replacement::Start { lost }, Some(task)) => {
                self.fx.event(Event::Replaced { task, lost });
            }
            (Replacement::Start { .. }, None) => {}
            (Replacement::Release { delay, reason }, task) => {
                let queue = queue.clone();
                self.fx.meter.released(row, reason);
                self.fx.event(Event::Released {
                    queue,
                    message,
                    task,
                    reason,
                    delay,
                    detail: None,
                });
            }
        }
        self.settle_as(job, Settlement::Delete);
        // Delete it soon to shorten the time in which both exist.
        self.send_deletes(&queue);
    }

    /// The queue refused the copy: starts or releases the message itself.
    pub(super) fn replacement_refused(&mut self, job: JobId, why: Replacement, fault: &Fault) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        held.deliveries.keep_the_message();
        let queue = held.queue.clone();
        self.fx.event(Event::QueueError { queue, fault: fault.clone() });
        self.replacing.ended(job);
        match why {
            Replacement::Start { .. } if self.is_draining() => {
                self.release(job, Duration::ZERO, ReleaseReason::Drain);
            }
            Replacement::Start { .. } => self.run(job),
            Replacement::Release { delay, reason } => self.release(job, delay, reason),
        }
    }
}

/// Whether a message released for this reason is unchanged, so that a copy may replace it: it was
/// not rejected, and its attempt has not ended.
fn stays_the_same(reason: ReleaseReason) -> bool {
    match reason {
        ReleaseReason::Drain
        | ReleaseReason::Paused
        | ReleaseReason::LeaseTooShort
        | ReleaseReason::NoRoom
        | ReleaseReason::NoThread => true,
        ReleaseReason::Undecided(_)
        | ReleaseReason::Retry
        | ReleaseReason::SuccessorRefused
        | ReleaseReason::DeadLetterRefused => false,
    }
}
