//! Draining: finish running tasks, release all other messages, then end.

use std::time::Duration;

use crate::event::ReleaseReason;
use crate::id::{JobId, OpId};
use crate::planted::{Bug, planted};

use super::effects::OpPurpose;
use super::io::{CancelReason, Output, Timer};
use super::job::{Job, Stage};
use super::{Mode, Worker};

/// How long polls in flight may still receive a reply. Messages that the queue reserves for a
/// cancelled poll return when their leases end.
const POLLS_MAY_END: Duration = Duration::from_secs(1);
/// How long the last requests may take after the drain limit.
const SETTLEMENT_GRACE: Duration = Duration::from_secs(1);

impl Worker {
    /// Begins to drain, or shortens the drain in progress.
    pub(super) fn drain(&mut self, limit: Duration) {
        if self.is_draining() {
            let at = self.fx.now + limit;
            if self.fx.timers.at(&Timer::DrainCancelHandlers).is_some_and(|set| at < set) {
                self.fx.set_timer(Timer::DrainCancelHandlers, limit);
            }
            return;
        }
        if self.mode != Mode::New {
            self.report_drain(limit);
        }
        self.mode = Mode::Draining { limit_passed: false };
        self.fx.timers.stop(&Timer::Start);
        for queue in self.poller.names() {
            self.fx.timers.stop(&Timer::Poll(queue.clone()));
        }
        if self.config.capabilities.takes_back_reserves {
            self.cancel_polls();
        } else {
            self.fx.set_timer(Timer::DrainCancelPolls, POLLS_MAY_END.min(limit));
        }
        self.fx.set_timer(Timer::DrainCancelHandlers, limit);
        self.interrupt_waits();
        let waiting: Vec<JobId> =
            std::mem::take(&mut self.waiting).into_values().flatten().collect();
        for job in waiting.into_iter().chain(self.suspects.take_waiting()) {
            if planted(Bug::ForgetReleaseOnDrain) {
                self.forget(job);
            }
            self.release(job, Duration::ZERO, ReleaseReason::Drain);
        }
        for queue in self.pending_deletes.queues() {
            self.send_deletes(&queue);
        }
        self.notices.drain(&mut self.fx);
    }

    /// Cancels polls, whose messages would only be released.
    pub(super) fn cancel_polls(&mut self) {
        let polls: Vec<OpId> = self
            .fx
            .in_flight
            .iter()
            .filter(|(_, in_flight)| {
                matches!(
                    in_flight.purpose,
                    OpPurpose::Poll { .. } | OpPurpose::Inspect(_) | OpPurpose::Create(_)
                )
            })
            .map(|(op, _)| *op)
            .collect();
        for op in polls {
            self.fx.outputs.push_back(Output::CancelQueue(op));
        }
    }

    /// The drain limit has passed: cancels the running handlers and releases their messages.
    pub(super) fn pass_drain_limit(&mut self) {
        self.mode = Mode::Draining { limit_passed: true };
        self.fx.set_timer(Timer::DrainAbandon, SETTLEMENT_GRACE);
        let runs = |held: &Job| matches!(held.stage, Stage::Running { .. });
        let mut running = self.jobs.sorted_keys();
        running.retain(|job| self.jobs.get(job).is_some_and(runs));
        for job in running {
            self.cancel_without_lease(job, CancelReason::Drain);
            self.release(job, Duration::ZERO, ReleaseReason::Drain);
        }
        self.notices.drop_waiting(&mut self.fx);
    }

    /// The grace period is over: unsettled messages return when their leases end.
    pub(super) fn abandon_all(&mut self) {
        self.fx.in_flight.clear();
        for job in self.jobs.sorted_keys() {
            self.forget(job);
        }
    }

    pub(super) fn finish_if_drained(&mut self) {
        let Mode::Draining { limit_passed } = self.mode else { return };
        let settled = self.jobs.is_empty() && self.fx.in_flight.is_empty();
        let ended = self.without_lease.is_empty() && self.notices.is_idle();
        if settled && (limit_passed || ended && self.presence_has_ended()) {
            self.mode = Mode::Finished;
            self.leave_jobs_without_lease();
            self.fx.timers.clear();
            self.fx.outputs.push_back(Output::Finished);
        }
    }
}
