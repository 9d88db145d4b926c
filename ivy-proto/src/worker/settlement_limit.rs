//! Limits how many messages may wait for their settlement, and releases some beyond the limit.

use std::time::Duration;

use crate::event::{Event, ReleaseReason};
use crate::id::JobId;
use crate::queue::Fault;
use crate::retry::Backoff;

use super::Worker;
use super::job::{Replacement, Settlement};

/// The maximum number of messages that may wait for their settlement; beyond it nothing is
/// reserved.
const MAX_SETTLING: usize = 1000;

impl Worker {
    /// Whether too many messages wait for their settlement, so that no more are reserved.
    pub(super) fn has_too_many_settling(&self) -> bool {
        // `running` may include handlers whose message is no longer held.
        self.jobs.len().saturating_sub(self.running + self.waiting_count()) >= MAX_SETTLING
    }

    /// Releases a message whose copy could not be posted, if the limit is reached. Its renewed
    /// lease would otherwise keep the settlement going indefinitely, and a worker that holds only
    /// such messages would process none. Returns whether it released the message.
    pub(super) fn release_over_limit(&mut self, job: JobId, fault: &Fault) -> bool {
        if !self.has_too_many_settling() {
            return false;
        }
        let Some(held) = self.jobs.get_mut(&job) else { return false };
        let queue = held.queue.clone();
        let message = held.lease.receipt().message.clone();
        let Some(settling) = held.settling() else { return false };
        let (delay, why) = match &settling.settlement {
            Settlement::DeadLetter(dead_lettering) => {
                let (reason, fault) = (dead_lettering.reason, fault.clone());
                self.fx.event(Event::DeadLetterRefused { queue, message, reason, fault });
                (longest_delay(), ReleaseReason::DeadLetterRefused)
            }
            Settlement::Successor { delay, .. } => {
                let delay = *delay;
                self.fx.event(Event::QueueError { queue, fault: fault.clone() });
                (delay, ReleaseReason::SuccessorRefused)
            }
            Settlement::Replace { why: why @ Replacement::Release { .. }, .. } => {
                let why = *why;
                self.replacement_refused(job, why, fault);
                return true;
            }
            // At most one message is about to start.
            Settlement::Replace { .. } | Settlement::Delete | Settlement::Release { .. } => {
                return false;
            }
        };
        self.release(job, delay, why);
        true
    }
}

fn longest_delay() -> Duration {
    Backoff::UNDECIDED.ceiling(u32::MAX)
}
