//! Renews the leases of held messages, and cancels the handlers of those that are lost.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::event::{Event, ReleaseReason};
use crate::id::{JobId, Receipt};
use crate::planted::{Bug, planted};
use crate::queue::{Fault, QueueOp};

use super::Worker;
use super::effects::OpPurpose;
use super::io::{CancelReason, Output, Timer};
use super::job::{Job, JobWithoutLease, Progress, Stage};
use super::lease::{Grant, TouchFailure};

/// How long a handler may run if the queue ends each lease after `longest`, however often it is
/// renewed: two leases less, or a quarter less if leases are long, to leave time for the
/// settlement.
pub(super) fn handler_hold(longest: Duration, lease: Duration) -> Duration {
    longest.saturating_sub(lease.saturating_mul(2).min(longest / 4))
}

/// How long to wait before a touch is retried, while the receipt is in use.
const RETRY_TOUCH_AFTER: Duration = Duration::from_millis(500);

impl Worker {
    /// If the lease has ended on a queue that does not refuse stale receipts, loses it and returns
    /// `true`: there a late reply proves nothing, and the receipt must not be used. A worker that
    /// wakes late gets here before the lease's own timer fires.
    pub(super) fn is_too_late(&mut self, job: JobId) -> bool {
        let is_over = |held: &Job| held.lease.until(self.fx.wall) <= self.fx.now;
        let is_late = !self.config.capabilities.refuses_stale_receipts
            && self.jobs.get(&job).is_some_and(is_over);
        if is_late {
            self.lose_lease(job);
        }
        is_late
    }

    /// Renews a message's lease.
    pub(super) fn touch(&mut self, job: JobId) {
        if self.is_too_late(job) {
            return;
        }
        let now = self.fx.now;
        let Some(held) = self.jobs.get_mut(&job) else { return };
        if held.lease.is_being_touched() {
            return;
        }
        if held.receipt_is_in_use() {
            return self.fx.set_timer(Timer::Touch(job), RETRY_TOUCH_AFTER);
        }
        let length = held.lease.length();
        let op = QueueOp::Touch {
            queue: held.queue.clone(),
            receipt: held.lease.receipt().clone(),
            lease: length,
        };
        let renewal = held.lease.touch_sent(now, self.fx.wall);
        self.fx.meter.touched(held.row);
        self.fx.execute(OpPurpose::Touch { job, renewal }, op);
    }

    pub(super) fn touched(&mut self, job: JobId, receipt: Receipt, renewal: Grant) {
        if !planted(Bug::LateTouchRevives) && self.is_too_late(job) {
            return;
        }
        let Some(held) = self.jobs.get_mut(&job) else { return };
        held.lease.touched(receipt, renewal);
        let touch_at = held.lease.touch_at(self.fx.wall, &mut self.fx.rng);
        self.fx.timers.set(Timer::LeaseEnds(job), held.lease.until(self.fx.wall));
        self.fx.set_timer(Timer::Touch(job), touch_at.since(self.fx.now));
        self.settle_if_due(job);
    }

    pub(super) fn touch_failed(&mut self, job: JobId, fault: &Fault) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        let queue = held.queue.clone();
        match held.lease.touch_failed(fault, &mut self.fx.rng) {
            TouchFailure::Lost => self.lose_lease(job),
            TouchFailure::Retry(after) => {
                let earliest = self.queue_failed(&queue, fault);
                let after = if after.is_zero() { after } else { after.max(earliest) };
                self.fx.set_timer(Timer::Touch(job), after);
                self.settle_if_due(job);
            }
        }
    }

    /// Stops holding a message whose lease is lost, and cancels its handler. Nothing more about it
    /// is sent to the queue.
    pub(super) fn lose_lease(&mut self, job: JobId) {
        let Some(held) = self.jobs.get(&job) else { return };
        let event = Event::LeaseLost {
            queue: held.queue.clone(),
            message: held.lease.receipt().message.clone(),
        };
        self.fx.meter.lease_lost(held.row);
        self.fx.event(event);
        self.cancel_without_lease(job, CancelReason::LeaseLost);
        self.forget(job);
    }

    pub(super) fn lose_leases(&mut self, receipts: Vec<Receipt>) {
        if planted(Bug::LeasesOutliveConnection) {
            return;
        }
        let lost: BTreeSet<Receipt> = receipts.into_iter().collect();
        let mut jobs = self.jobs.sorted_keys();
        let is_lost = |held: &Job| lost.contains(held.lease.receipt());
        jobs.retain(|job| self.jobs.get(job).is_some_and(is_lost));
        let held = jobs.iter().filter_map(|job| self.jobs.get(job));
        let known: BTreeSet<Receipt> = held.map(|held| held.lease.receipt().clone()).collect();
        for job in jobs {
            self.lose_lease(job);
        }
        // Messages of reserves in flight may be among them.
        if self.poller.promised() > 0 {
            self.lost_before_arrival.extend(lost.difference(&known).cloned());
        }
    }

    /// The maximum hold time of the queue is almost over.
    pub(super) fn pass_hold_limit(&mut self, job: JobId) {
        let Some(held) = self.jobs.get(&job) else { return };
        match held.stage {
            Stage::Waiting => {
                self.leave_waiting(job);
                self.release(job, Duration::ZERO, ReleaseReason::LeaseTooShort);
            }
            Stage::Running { .. } => self.stop_overdue(job, CancelReason::LeaseLimit),
            Stage::Settling(_) => {}
        }
    }

    /// Cancels the job's handler if it runs; the handler keeps its slot until it ends.
    pub(super) fn cancel_without_lease(&mut self, job: JobId, reason: CancelReason) {
        let Some(held) = self.jobs.get(&job) else { return };
        if let (Stage::Running { started_at, .. }, Some(scheduled)) = (&held.stage, &held.scheduled)
        {
            let handler = JobWithoutLease {
                task: scheduled.task.clone(),
                row: held.row,
                attempt: scheduled.attempt,
                started_at: *started_at,
                reason,
            };
            self.running -= 1;
            self.suspects.ended(job);
            self.without_lease.insert(job, handler);
            self.fx.timers.stop(&Timer::TimeLimit(job));
            self.fx.outputs.push_back(Output::Cancel(job, reason));
        }
    }

    /// Removes a job from those that wait for a slot, if it is one.
    fn leave_waiting(&mut self, job: JobId) {
        self.suspects.ended(job);
        let Some(held) = self.jobs.get(&job) else { return };
        if let Stage::Waiting = held.stage
            && let Some(jobs) = self.waiting.get_mut(&held.queue)
        {
            jobs.retain(|waiting| *waiting != job);
            if jobs.is_empty() {
                self.waiting.remove(&held.queue);
            }
        }
    }

    /// Removes a job and its timers.
    pub(super) fn forget(&mut self, job: JobId) {
        self.leave_waiting(job);
        let Some(held) = self.jobs.remove(&job) else { return };
        self.replacing.ended(job);
        self.fx.timers.stop(&Timer::Touch(job));
        self.fx.timers.stop(&Timer::LeaseEnds(job));
        if self.config.capabilities.longest_hold.is_some() {
            self.fx.timers.stop(&Timer::HoldLimit(job));
        }
        match held.stage {
            Stage::Waiting => {}
            Stage::Running { .. } => self.fx.timers.stop(&Timer::TimeLimit(job)),
            Stage::Settling(_) => self.fx.timers.stop(&Timer::Settle(job)),
        }
    }

    /// Cancels a handler that exceeded its time. Its outcome still counts if it is a success.
    pub(super) fn stop_overdue(&mut self, job: JobId, reason: CancelReason) {
        let Some(held) = self.jobs.get_mut(&job) else { return };
        if let Stage::Running { overdue, .. } = &mut held.stage {
            *overdue = Some(reason);
            self.fx.outputs.push_back(Output::Cancel(job, reason));
        }
    }

    /// Continues a settlement that waited for a touch to end.
    fn settle_if_due(&mut self, job: JobId) {
        let due = self
            .jobs
            .get_mut(&job)
            .and_then(|held| held.settling())
            .is_some_and(|settling| settling.progress == Progress::Due);
        if due {
            self.settle(job);
        }
    }
}
