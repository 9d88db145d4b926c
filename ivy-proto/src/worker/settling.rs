//! Executes the decision about each message: deletes it, posts its next attempt, dead-letters it, or
//! releases it.
//!
//! The copy is posted first and the message is deleted second: a message is deleted only when its
//! task is done, or when the queue has accepted its successor or its dead-letter copy.

use std::time::Duration;

use crate::event::{Event, ReleaseReason};
use crate::id::JobId;
use crate::metrics::Row;
use crate::planted::{Bug, planted};
use crate::queue::{Batch, Fault, FaultKind, NewMessage, QueueOp};
use crate::retry::Backoff;
use crate::task::TaskReleased;
use crate::text::brief;

use super::Worker;
use super::effects::OpPurpose;
use super::io::Timer;
use super::job::{Progress, Replacement, Scheduled, Settlement, Settling, Stage, Succession};
use super::queue_replies::may_succeed_later;

impl Worker {
    /// Begins the settlement of a job.
    pub(super) fn settle_as(&mut self, job: JobId, settlement: Settlement) {
        if planted(Bug::DeleteBeforeCopy) && matches!(settlement, Settlement::DeadLetter(_)) {
            self.delete_at_once(job);
        }
        let Some(held) = self.jobs.get_mut(&job) else { return };
        held.stage = Stage::Settling(Settling { settlement, progress: Progress::Due });
        self.settle(job);
    }

    /// Releases a message, or replaces it with a copy that is released.
    pub(super) fn release(&mut self, job: JobId, delay: Duration, reason: ReleaseReason) {
        if !self.replace_at_release(job, delay, reason) {
            self.settle_as(job, Settlement::Release { delay, reason, detail: None });
        }
    }

    /// Sends the next step of a job's settlement, unless a touch is about to replace its receipt.
    pub(super) fn settle(&mut self, job: JobId) {
        if self.is_too_late(job) {
            return;
        }
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let queue = held.queue.clone();
        let being_touched = held.lease.is_being_touched();
        let Some(Settling { settlement, progress }) = held.settling() else { return };
        let (purpose, op) = match settlement {
            Settlement::Delete => {
                *progress = Progress::Batched;
                return self.batch_ack(&queue, job);
            }
            Settlement::Release { .. } if being_touched => {
                *progress = Progress::Due;
                return;
            }
            Settlement::Release { delay, reason, .. } => {
                let (delay, failed) = (*delay, *reason == ReleaseReason::Retry);
                let receipt = held.lease.receipt().clone();
                (OpPurpose::Release(job), QueueOp::Release { queue, receipt, delay, failed })
            }
            Settlement::Successor { successor, delay, .. } => {
                let message = NewMessage { body: successor.clone(), delay: *delay };
                (OpPurpose::Post(job), QueueOp::Post { queue, messages: Batch::one(message) })
            }
            Settlement::Replace { copy, why } => {
                let delay = match why {
                    Replacement::Start { .. } => Duration::ZERO,
                    Replacement::Release { delay, .. } => *delay,
                };
                let message = NewMessage { body: copy.clone(), delay };
                (OpPurpose::Post(job), QueueOp::Post { queue, messages: Batch::one(message) })
            }
            Settlement::DeadLetter(_) => {
                let copy =
                    held.dead_letter(self.fx.unix_millis(), &self.config, &mut self.fx.entropy);
                let Some((queue, body)) = copy else { return };
                let message = NewMessage { body, delay: Duration::ZERO };
                (OpPurpose::Post(job), QueueOp::Post { queue, messages: Batch::one(message) })
            }
        };
        if let Some(settling) = held.settling() {
            settling.progress = Progress::InFlight;
        }
        self.fx.execute(purpose, op);
    }

    /// The successor, the replacement or the dead-letter copy was accepted.
    pub(super) fn posted(&mut self, job: JobId) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let scheduled = held.scheduled.clone();
        let known = held.task_and_caller();
        let (queue, row, lost) = (held.queue.clone(), held.row, held.deliveries.lost);
        let message = held.lease.receipt().message.clone();
        let Some(settling) = held.settling() else { return };
        match settling.settlement.clone() {
            Settlement::Successor { delay, succession, .. } => {
                if let Some(scheduled) = scheduled {
                    self.report_succession(&scheduled, row, delay, succession);
                }
            }
            Settlement::Replace { why, .. } => return self.replaced(job, why),
            Settlement::DeadLetter(dead_lettering) => {
                self.fx.meter.dead_lettered(row, dead_lettering.reason);
                self.fx.event(Event::DeadLettered {
                    queue,
                    message: message.clone(),
                    task: known.as_ref().map(|(task, _)| task.clone()),
                    reason: dead_lettering.reason,
                    detail: brief(&dead_lettering.message).to_owned(),
                    attempts: dead_lettering.attempts,
                    lost,
                });
                if let Some((task, ivy)) = known {
                    self.notify_failure(&message, &task, ivy.as_ref(), &dead_lettering);
                }
            }
            Settlement::Delete | Settlement::Release { .. } => return,
        }
        self.settle_as(job, Settlement::Delete);
    }

    /// Reports that the queue accepted the successor of a message.
    fn report_succession(
        &mut self,
        scheduled: &Scheduled,
        row: Row,
        delay: Duration,
        succession: Succession,
    ) {
        let task = scheduled.task.clone();
        match succession {
            Succession::Retry => {
                let attempt = scheduled.attempt.saturating_add(1);
                self.fx.meter.retried(row);
                self.fx.event(Event::Retried { task, attempt, delay });
            }
            Succession::Postponed { count, message } => {
                let attempt = scheduled.attempt;
                self.fx.event(Event::Postponed { task, attempt, count, delay, message });
            }
        }
    }

    pub(super) fn post_failed(&mut self, job: JobId, fault: &Fault) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let queue = held.queue.clone();
        let message = held.lease.receipt().message.clone();
        let Some(settling) = held.settling() else { return };
        if may_succeed_later(fault) {
            // It may have been accepted; then there are two copies with the same id.
            return self.pause_settlement(job, fault);
        }
        match &mut settling.settlement {
            Settlement::Successor { delay, .. } => {
                let delay = *delay;
                self.fx.event(Event::QueueError { queue, fault: fault.clone() });
                self.release(job, delay, ReleaseReason::SuccessorRefused);
            }
            Settlement::Replace { why, .. } => {
                let why = *why;
                self.replacement_refused(job, why, fault);
            }
            // A queue may accept less than its documented limit, and some servers refuse an
            // oversized message with a generic error.
            Settlement::DeadLetter(dead_lettering) if !dead_lettering.bare => {
                dead_lettering.bare = true;
                self.settle(job);
            }
            Settlement::DeadLetter(dead_lettering) => {
                let reason = dead_lettering.reason;
                let fault = fault.clone();
                self.fx.event(Event::DeadLetterRefused { queue, message, reason, fault });
                let delay = Backoff::UNDECIDED.ceiling(u32::MAX);
                self.release(job, delay, ReleaseReason::DeadLetterRefused);
            }
            Settlement::Delete | Settlement::Release { .. } => {}
        }
    }

    pub(super) fn released(&mut self, job: JobId) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let (queue, row) = (held.queue.clone(), held.row);
        let message = held.lease.receipt().message.clone();
        let scheduled = held.scheduled.clone();
        let (known, id) = (held.task_and_caller(), held.task_id());
        let Some(settling) = held.settling() else { return };
        let Settlement::Release { delay, reason, detail } = &mut settling.settlement else {
            return;
        };
        let (delay, reason, detail) = (*delay, *reason, detail.take());
        if let ReleaseReason::Undecided(why) = reason {
            let is_first = self.release_counts.of(&queue, &message) == 0;
            self.release_counts.record(&queue, &message, id);
            if let Some((task, ivy)) = known.filter(|_| is_first) {
                let release = TaskReleased {
                    queue: queue.clone(),
                    kind: why.as_str().to_owned(),
                    message: detail.clone().unwrap_or_default(),
                    attempts: scheduled.as_ref().map_or(0, |scheduled| scheduled.attempt - 1),
                };
                self.notify_released(&message, &task, ivy.as_ref(), &release);
            }
        }
        let task = scheduled.as_ref().map(|scheduled| scheduled.task.clone());
        self.fx.meter.released(row, reason);
        self.fx.event(Event::Released { queue, message, task, reason, detail, delay });
        if let (ReleaseReason::Retry, Some(scheduled)) = (reason, scheduled) {
            let attempt = scheduled.attempt.saturating_add(1);
            self.fx.meter.retried(row);
            self.fx.event(Event::Retried { task: scheduled.task.clone(), attempt, delay });
        }
        self.forget(job);
    }

    pub(super) fn release_failed(&mut self, job: JobId, fault: &Fault) {
        match fault.kind() {
            FaultKind::LeaseLost | FaultKind::NoMessage | FaultKind::NoQueue => {
                self.lose_lease(job);
            }
            _ => self.pause_settlement(job, fault),
        }
    }

    pub(super) fn deleted(&mut self, job: JobId) {
        let Some(held) = self.jobs.get(&job) else { return };
        if let Some(scheduled) = &held.scheduled {
            let task = scheduled.task.clone();
            self.fx.event(Event::Acknowledged { task });
        }
        self.forget(job);
    }

    pub(super) fn delete_failed(&mut self, job: JobId, fault: &Fault) {
        match fault.kind() {
            // It was deleted already.
            FaultKind::NoMessage | FaultKind::NoQueue if !planted(Bug::RepeatDeleteOfGone) => {
                self.deleted(job);
            }
            FaultKind::LeaseLost => self.lose_lease(job),
            _ => self.pause_settlement(job, fault),
        }
    }

    /// Retries a settlement later, unless its lease ends first.
    fn pause_settlement(&mut self, job: JobId, fault: &Fault) {
        if self.release_over_limit(job, fault) {
            return;
        }
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let queue = held.queue.clone();
        if let Some(settling) = held.settling() {
            settling.progress = Progress::Paused;
        }
        let delay = self.queue_failed(&queue, fault);
        self.fx.set_timer(Timer::Settle(job), delay);
    }
}
