//! Handles messages that this worker cannot run: releases them if another worker may run them,
//! otherwise dead-letters them.

use std::time::Duration;

use crate::event::{DegradedReason, Event, Part, ReleaseReason};
use crate::id::JobId;
use crate::name::QueueName;
use crate::planted::{Bug, planted};
use crate::retry::Backoff;
use crate::wire::DeadLetterReason;

use super::Worker;
use super::admission::{FaultSource, Rejection};
use super::io::Timer;
use super::job::{DeadLettering, Scheduled, Settlement};
use super::poller::PauseReason;
use super::unprocessable::{Consequence, PAUSE, UnprocessableCause, Unseen};

/// After this many releases by this process a message is dead-lettered.
const MAX_RELEASES: u32 = 10;
/// The round whose delay, 80 s, follows the first release of another program's message in a long flood: a
/// shorter one would end before the flood, and the same messages would be received again instead of those
/// behind them.
const FIRST_ROUND_IN_LONG_FLOOD: u32 = 4;

impl Worker {
    /// Releases or dead-letters a message that this worker cannot run.
    pub(super) fn reject(&mut self, job: JobId, rejection: Rejection) {
        let Some(held) = self.jobs.get(&job) else { return };
        let queue = held.queue.clone();
        let message = held.lease.receipt().message.clone();
        let attempts = held.scheduled.as_ref().map_or(0, |task| task.attempt - 1);
        self.limit_failed_decryptions(&queue, rejection.reason);
        let consequence = self.count_unprocessable(job, &rejection);
        let released = self.release_counts.of(&queue, &message);
        // A message that no worker could run is released only if there are so many of them that
        // this worker may be at fault.
        let may_wait = rejection.may_be_run_elsewhere()
            || consequence.longest_delay && rejection.fault == FaultSource::Worker;
        if consequence.must_be_kept || may_wait && released < max_releases(&rejection) {
            // The longer they are delayed, the sooner the messages behind them are reached. Those of
            // another program that this worker came across without work of its own are delayed only
            // briefly at first, because that program may be about to receive them.
            let is_foreign = rejection.fault == FaultSource::Program;
            let is_brief = is_foreign && released == 0 && !self.has_work(&queue);
            let round = match consequence.longest_delay {
                true if !is_brief => u32::MAX,
                true if consequence.in_long_flood => FIRST_ROUND_IN_LONG_FLOOD,
                _ => released,
            };
            if is_foreign {
                self.note_foreign_message(&queue);
            }
            self.release_undecided(job, rejection, Backoff::UNDECIDED.ceiling(round));
        } else {
            let (reason, message) = (rejection.reason, rejection.message);
            let dead_lettering = DeadLettering { reason, message, attempts, bare: false };
            self.settle_as(job, Settlement::DeadLetter(dead_lettering));
        }
    }

    /// Releases or dead-letters a message whose handler did not accept its arguments.
    pub(super) fn reject_mismatch(&mut self, job: JobId, mismatch: String) {
        let queue = self.jobs.get(&job).map(|held| held.queue.clone());
        self.reject(job, Rejection::mismatch(mismatch));
        if let Some(queue) = queue {
            self.yield_if_due(&queue);
        }
    }

    /// Releases a message that another worker, or this one later, may be able to run.
    fn release_undecided(&mut self, job: JobId, rejection: Rejection, delay: Duration) {
        let reason = ReleaseReason::Undecided(rejection.reason);
        let detail = Some(rejection.message);
        self.settle_as(job, Settlement::Release { delay, reason, detail });
    }

    /// Records that a handler accepted its arguments.
    pub(super) fn handled(&mut self, scheduled: &Scheduled) {
        let (task, queue) = (&scheduled.task.name, &scheduled.task.queue);
        let Some(served) = self.poller.queue(queue) else { return };
        let recovered = served.unprocessable.handled(task, self.fx.now);
        // There is work for this worker after all.
        if served.is_paused_for(PauseReason::OtherWorkersFirst) {
            served.wake();
            self.fx.timers.stop(&Timer::Poll(queue.clone()));
        }
        if recovered {
            let part = Part::Task { task: task.clone(), queue: queue.clone() };
            self.fx.report_recovered(part);
        }
    }

    /// Why the message of this job is not tried now, if its task's name is paused. One that was not
    /// released before is tried: it may be valid.
    pub(super) fn paused_mismatch(&mut self, job: JobId) -> Option<Rejection> {
        let held = self.jobs.get(&job)?;
        if self.release_counts.of(&held.queue, &held.lease.receipt().message) == 0 {
            return None;
        }
        let task = &held.scheduled.as_ref()?.task.name;
        let served = self.poller.queue(&held.queue)?;
        let mismatch = served.unprocessable.paused_mismatch(task, self.fx.now)?;
        Some(Rejection::mismatch(mismatch.to_owned()))
    }

    fn note_foreign_message(&mut self, queue: &QueueName) {
        if let Some(served) = self.poller.queue(queue) {
            served.unprocessable.saw_foreign_message(self.fx.now);
        }
    }

    /// Whether a task of this worker was in the queue within the last minute.
    fn has_work(&mut self, queue: &QueueName) -> bool {
        let now = self.fx.now;
        self.poller.queue(queue).is_some_and(|served| served.unprocessable.has_work(now))
    }

    /// Reports that a queue, or a task's name, is no longer degraded because none of its messages
    /// was seen for long: others have handled them, or an operator deleted them. Call it when all
    /// messages of a reply are admitted.
    pub(super) fn recover_if_unseen(&mut self, queue: &QueueName) {
        let now = self.fx.now;
        let Some(served) = self.poller.queue(queue) else { return };
        // More may be ready, those as well.
        if served.is_full() {
            return;
        }
        let Unseen { messages, tasks } = served.unprocessable.take_unseen(now);
        if messages {
            self.fx.report_recovered(Part::Messages(queue.clone()));
        }
        for task in tasks {
            self.fx.report_recovered(Part::Task { task, queue: queue.clone() });
        }
    }

    /// Yields the queue to others if its messages are for them and this worker has no work.
    pub(super) fn yield_if_due(&mut self, queue: &QueueName) {
        let Some(served) = self.poller.queue(queue).filter(|served| !served.is_paused()) else {
            return;
        };
        let pause = served.unprocessable.yields(&mut self.fx.rng);
        if let Some(pause) = pause {
            self.pause_queue(queue, pause, PauseReason::OtherWorkersFirst);
        }
    }

    /// Counts an unprocessable message, and pauses its queue if necessary.
    fn count_unprocessable(&mut self, job: JobId, rejection: &Rejection) -> Consequence {
        let Some(held) = self.jobs.get(&job) else { return Consequence::default() };
        let queue = held.queue.clone();
        let Some(served) = self.poller.queue(&queue) else { return Consequence::default() };
        let unprocessable = &mut served.unprocessable;
        let task = held.scheduled.as_ref().map(|scheduled| &scheduled.task.name);
        let cause = match (rejection.fault, task) {
            (FaultSource::Message, _) => return Consequence::default(),
            (FaultSource::Program, Some(task)) => {
                UnprocessableCause::Task { task, mismatch: &rejection.message }
            }
            (FaultSource::Program | FaultSource::Worker, _) => UnprocessableCause::Queue,
        };
        let message = &held.lease.receipt().message;
        let consequence = unprocessable.record_unprocessable(message, cause, self.fx.now);
        let unknown = task.filter(|_| rejection.reason == DeadLetterReason::UnknownTask);
        if let Some(task) = unknown.filter(|_| unprocessable.reports_sharing(self.fx.now)) {
            self.fx.event(Event::QueueShared { queue: queue.clone(), task: task.clone() });
        }
        if consequence.degraded {
            let (part, why) = match (rejection.fault, task) {
                (FaultSource::Program, Some(task)) => {
                    let part = Part::Task { task: task.clone(), queue: queue.clone() };
                    let detail = rejection.message.clone();
                    (part, DegradedReason::Task { reason: rejection.reason, detail })
                }
                _ => (Part::Messages(queue.clone()), DegradedReason::Messages(rejection.reason)),
            };
            self.fx.report_degraded(part, why);
        }
        if let Some(pause) = consequence.pause {
            self.pause_queue(&queue, pause, PauseReason::Failing);
        }
        consequence
    }

    /// Pauses the queue if more unauthenticated frames fail to open than valid peers would send,
    /// unless valid messages arrived lately.
    fn limit_failed_decryptions(&mut self, queue: &QueueName, reason: DeadLetterReason) {
        let now = self.fx.now;
        if reason != DeadLetterReason::Undecryptable || !self.failed_decryptions.record(queue, now)
        {
            return;
        }
        self.fx.event(Event::DecryptionsFailed { queue: queue.clone() });
        let served = self.poller.queue(queue);
        if served.is_some_and(|served| !served.unprocessable.processed_recently(now)) {
            self.pause_queue(queue, PAUSE, PauseReason::Failing);
        }
    }
}

/// How often such a message is released before it is dead-lettered.
fn max_releases(rejection: &Rejection) -> u32 {
    if rejection.fault == FaultSource::Program && planted(Bug::DeadLetterAtFirstMismatch) {
        return 0;
    }
    MAX_RELEASES
}
