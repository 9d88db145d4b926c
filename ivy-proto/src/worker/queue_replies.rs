//! Dispatches the replies of the queue to the operations that they belong to.

use std::time::Duration;

use crate::event::{DegradedReason, Event, Part};
use crate::id::OpId;
use crate::name::QueueName;
use crate::planted::{Bug, planted};
use crate::queue::{Effect, Fault, FaultKind, QueueOp, QueueReply, entries, only_entry};
use crate::retry::MAX_RETRY_AFTER;
use crate::time::WallClock;

use super::Worker;
use super::effects::OpPurpose;
use super::io::Timer;
use super::poller::{Health, PauseReason};

/// How long a queue is paused after it refused the credentials.
const UNAUTHORIZED_PAUSE: Duration = Duration::from_secs(60);

impl Worker {
    pub(super) fn on_reply(&mut self, op: OpId, result: Result<QueueReply, Fault>) {
        let Some(purpose) = self.fx.ended(op, &result) else { return };
        match reply_for(&purpose, result) {
            Ok(reply) => self.on_success(purpose, reply),
            Err(fault) => {
                self.record_fault(&purpose, fault.kind());
                self.on_fault(purpose, &fault);
            }
        }
        if !self.lost_before_arrival.is_empty() && self.poller.promised() == 0 {
            self.lost_before_arrival.clear();
        }
    }

    fn on_success(&mut self, purpose: OpPurpose, reply: QueueReply) {
        if let Some(queue) = self.queue_of(&purpose)
            && let Some(served) = self.poller.queue(&queue)
            && served.succeeded(self.fx.now) == Health::Recovered
        {
            self.fx.report_recovered(Part::Queue(queue));
        }
        match (purpose, reply) {
            (OpPurpose::Inspect(queue), QueueReply::Queue(info)) => {
                if let Some(time) = info.server_time {
                    self.server_clock = Some(WallClock::showing(time, self.fx.now));
                }
                if info.settings.dead_letter.is_some() {
                    self.fx.event(Event::ServerSideDeadLetter { queue });
                }
            }
            (OpPurpose::Create(queue), _) => {
                // Another poll may have paused it for another reason.
                if self.fx.timers.at(&Timer::Poll(queue.clone())).is_none()
                    && let Some(served) = self.poller.queue(&queue)
                {
                    served.wake();
                }
            }
            (
                OpPurpose::Poll { queue, count, wait, requested_at, wall },
                QueueReply::Reserved(reserved),
            ) => self.take_in(&queue, count, wait, (requested_at, wall), reserved),
            (OpPurpose::Touch { job, renewal }, QueueReply::Touched(receipt)) => {
                self.touched(job, receipt, renewal);
            }
            (OpPurpose::Post(job), _) => self.posted(job),
            (OpPurpose::Release(job), _) => self.released(job),
            (OpPurpose::Delete(job), _) => self.deleted(job),
            (OpPurpose::DeleteMany { queue, jobs }, QueueReply::Deleted(entries)) => {
                self.take_acks(&queue, jobs, entries);
            }
            (
                OpPurpose::Inspect(_)
                | OpPurpose::Poll { .. }
                | OpPurpose::Touch { .. }
                | OpPurpose::DeleteMany { .. },
                _,
            ) => {}
        }
    }

    /// Records for the health of the queue whether its server answered.
    fn record_fault(&mut self, purpose: &OpPurpose, kind: FaultKind) {
        let now = self.fx.now;
        let Some(queue) = self.queue_of(purpose) else { return };
        let Some(served) = self.poller.queue(&queue) else { return };
        match kind {
            // Nothing was sent.
            FaultKind::Unsupported { .. } => {}
            _ if is_answer(purpose, kind) => served.answered(now),
            _ => served.unanswered(kind),
        }
    }

    fn on_fault(&mut self, purpose: OpPurpose, fault: &Fault) {
        match purpose {
            // The first poll meets and handles the same fault.
            OpPurpose::Inspect(_) => {}
            OpPurpose::Create(queue) => self.pause_failed_queue(&queue, fault),
            OpPurpose::Poll { queue, count, .. } => self.poll_failed(&queue, count, fault),
            OpPurpose::Touch { job, .. } => self.touch_failed(job, fault),
            OpPurpose::Post(job) => self.post_failed(job, fault),
            OpPurpose::Release(job) => self.release_failed(job, fault),
            OpPurpose::Delete(job) => self.delete_failed(job, fault),
            OpPurpose::DeleteMany { queue, jobs } => self.acks_failed(&queue, jobs, fault),
        }
    }

    fn poll_failed(&mut self, queue: &QueueName, count: usize, fault: &Fault) {
        if let Some(served) = self.poller.queue(queue) {
            served.on_failure(count);
        }
        if self.is_draining() {
            return;
        }
        if fault.kind() != FaultKind::NoQueue {
            return self.pause_failed_queue(queue, fault);
        }
        if self.config.creates_queues {
            let Some(served) = self.poller.queue(queue) else { return };
            if !served.on_missing() {
                return self.pause_failed_queue(queue, fault);
            }
            served.pause(PauseReason::Failing);
            let op = QueueOp::CreateQueue { queue: queue.clone() };
            return self.fx.execute(OpPurpose::Create(queue.clone()), op);
        }
        // A missing queue is treated as an empty one that replied without waiting.
        let waited = (self.config.capabilities.long_poll, Duration::ZERO);
        let pause = self
            .poller
            .queue(queue)
            .and_then(|served| served.on_reply(count, (0, 0), waited, &mut self.fx.rng));
        self.fx.event(Event::QueueError { queue: queue.clone(), fault: fault.clone() });
        if let Some(pause) = pause {
            self.pause_queue(queue, pause, PauseReason::Empty);
        }
    }

    fn pause_failed_queue(&mut self, queue: &QueueName, fault: &Fault) {
        let pause = self.queue_failed(queue, fault);
        self.pause_queue(queue, pause, PauseReason::Failing);
    }

    /// Reports a failed request to this queue, and returns the delay until it may be repeated.
    pub(super) fn queue_failed(&mut self, queue: &QueueName, fault: &Fault) -> Duration {
        self.fx.event(Event::QueueError { queue: queue.clone(), fault: fault.clone() });
        let at_least = match fault.kind() {
            FaultKind::Unauthorized => UNAUTHORIZED_PAUSE,
            _ => fault.retry_after().unwrap_or_default().min(MAX_RETRY_AFTER),
        };
        let now = self.fx.now;
        let Some(served) = self.poller.queue(queue) else { return at_least };
        let (delay, health) = served.failed(needs_operator(fault), at_least, now, &mut self.fx.rng);
        if health == Health::Degraded {
            let why = DegradedReason::Queue(fault.clone());
            self.fx.report_degraded(Part::Queue(queue.clone()), why);
        }
        delay
    }

    fn queue_of(&self, purpose: &OpPurpose) -> Option<QueueName> {
        match purpose {
            OpPurpose::Inspect(queue)
            | OpPurpose::Create(queue)
            | OpPurpose::Poll { queue, .. }
            | OpPurpose::DeleteMany { queue, .. } => Some(queue.clone()),
            OpPurpose::Touch { job, .. }
            | OpPurpose::Post(job)
            | OpPurpose::Release(job)
            | OpPurpose::Delete(job) => self.jobs.get(job).map(|held| held.queue.clone()),
        }
    }
}

/// The reply to an operation. For an operation on a single message the entry of that message
/// decides, so a refused entry is a failed operation.
fn reply_for(purpose: &OpPurpose, result: Result<QueueReply, Fault>) -> Result<QueueReply, Fault> {
    Ok(match (purpose, result?) {
        (OpPurpose::Post(_), QueueReply::Posted(replied))
            if planted(Bug::MissingEntryIsDone) && replied.is_empty() =>
        {
            QueueReply::Posted(replied)
        }
        (OpPurpose::Post(_), QueueReply::Posted(replied)) => {
            only_entry(replied)?;
            QueueReply::Posted(Vec::new())
        }
        (OpPurpose::Delete(_), QueueReply::Deleted(replied)) => {
            only_entry(replied)?;
            QueueReply::Deleted(Vec::new())
        }
        (OpPurpose::DeleteMany { jobs, .. }, QueueReply::Deleted(replied)) => {
            QueueReply::Deleted(entries(replied, jobs.len())?)
        }
        (_, reply) => reply,
    })
}

/// Whether the queue's server answered about this one message, or that it has no such queue.
fn is_answer(purpose: &OpPurpose, kind: FaultKind) -> bool {
    let is_about_the_queue =
        matches!(purpose, OpPurpose::Inspect(_) | OpPurpose::Create(_) | OpPurpose::Poll { .. });
    match kind {
        FaultKind::NoQueue => true,
        FaultKind::NoMessage | FaultKind::LeaseLost | FaultKind::TooLarge | FaultKind::Refused => {
            !is_about_the_queue
        }
        _ => false,
    }
}

/// Whether the fault is unlikely to pass by itself, so it is reported immediately. A reply that
/// cannot be decoded may have reserved messages, which then are not handled until their leases end,
/// even if the next reply is valid.
fn needs_operator(fault: &Fault) -> bool {
    matches!(
        fault.kind(),
        FaultKind::Unauthorized | FaultKind::Redirected | FaultKind::Tls | FaultKind::BadReply
    )
}

/// Whether repeating the unchanged request may help.
pub(super) fn may_succeed_later(fault: &Fault) -> bool {
    fault.effect() != Effect::Refused
        || matches!(fault.kind(), FaultKind::Unauthorized | FaultKind::Redirected)
}
