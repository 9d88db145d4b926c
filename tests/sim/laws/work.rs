//! What workers did, as far as the law checker learns of it.

use std::time::Duration;

use ivy_proto::queue::QueueOp;
use ivy_proto::wire::{DeadLetter, DeadLetterReason};
use ivy_proto::worker::{JobOutcome, Run};
use ivy_proto::{JobId, MessageId, Moment};

use super::{LawChecker, RELEASES, StartedHandler};
use crate::task::{Cause, Plan, ProcessId, Sender};

/// A delete may be delayed to share a request, and by a renewal in flight.
const MAX_ACK_DELAY: Duration = Duration::from_millis(400);

impl LawChecker {
    /// A handler was started.
    pub(crate) fn run(&mut self, who: ProcessId, run: &Run) -> Option<usize> {
        let at = self.ids.index_of(&run.message)?;
        let number = self.messages.get(at)?.task?;
        let started = StartedHandler {
            message: at,
            task: number,
            attempt: run.attempt,
            outcome_is_void: false,
        };
        self.started.insert((who, run.job), started);
        let message = &mut self.messages[at];
        message.runs += 1;
        let (runs, reserved) = (message.runs, message.reserved);
        if runs > reserved && !self.tasks[number].causes.has(Cause::Delivery) {
            self.broken("S5", || format!("task {number} ran {runs} times of {reserved}"));
        }
        let task = &mut self.tasks[number];
        task.runs += 1;
        let bit = 1u128 << run.attempt.min(127);
        let again = task.started & bit != 0;
        task.started |= bit;
        if again {
            task.duplicates += 1;
            if task.causes.is_empty() {
                let attempt = run.attempt;
                self.broken("S5", || {
                    format!("task {number}: attempt {attempt} ran twice, without a cause")
                });
            }
        }
        let task = &self.tasks[number];
        let (attempt, max, id) = (run.attempt, task.max_attempts, task.id);
        let sender = task.sender;
        if attempt > max {
            self.broken("S5", || format!("task {number}: attempt {attempt} of {max}"));
        }
        if matches!(sender, Sender::Producer(_)) && run.id != id {
            self.broken("S3", || format!("task {number} runs under the id of another"));
        }
        Some(number)
    }

    /// By how much the true lease of a message is shorter than its holder expects. The worker
    /// cannot know how long its delivery was in flight.
    pub(crate) fn missing_margin(
        &self,
        who: ProcessId,
        message: &MessageId,
        broker_now: Moment,
    ) -> Option<Duration> {
        let at = self.ids.index_of(message)?;
        let task = self.messages.get(at)?.task?;
        // A message that was delivered by mistake has no lease.
        if self.tasks[task].causes.has(Cause::Delivery) {
            return None;
        }
        let grant = self.grants.get(&(who, at))?;
        let margin = (grant.length / 5).min(Duration::from_secs(5));
        let seems = grant.until.since(broker_now) + grant.arrived.since(grant.granted);
        margin.checked_sub(seems).filter(|lack| !lack.is_zero())
    }

    /// A handler was cancelled, because its message is no longer held.
    pub(crate) fn outcome_is_void(&mut self, who: ProcessId, job: JobId, cause: Option<Cause>) {
        let Some(started) = self.started.get_mut(&(who, job)) else { return };
        started.outcome_is_void = true;
        let task = started.task;
        if let Some(cause) = cause {
            self.tasks[task].causes.add(cause);
        }
    }

    /// A handler ended, and its worker is informed.
    pub(crate) fn ended(
        &mut self,
        who: ProcessId,
        job: JobId,
        outcome: &JobOutcome,
        counts: bool,
        now: Moment,
    ) {
        let Some(started) = self.started.remove(&(who, job)) else { return };
        if started.outcome_is_void {
            return;
        }
        let bit = 1u128 << started.attempt.min(127);
        match outcome {
            JobOutcome::Done(_) | JobOutcome::ResultTooDeep => {
                let task = &mut self.tasks[started.task];
                task.finished += 1;
                task.finished_at.get_or_insert(now);
                self.messages[started.message].done_by.push(who);
                self.done_at.insert((who, started.message), now);
            }
            JobOutcome::Failed(error) if self.record_postponement(started, error) => {
                self.tasks[started.task].started &= !bit;
            }
            // It was not run, and the attempt does not count.
            JobOutcome::BadArgs(_) | JobOutcome::NotRun => {
                self.tasks[started.task].started &= !bit;
            }
            _ if !counts => {}
            _ => self.tasks[started.task].failed |= bit,
        }
    }

    /// A worker requests to delete messages. Those whose handlers have returned must not have
    /// waited for anything else, such as a notice.
    pub(crate) fn check_delete_request(
        &mut self,
        who: ProcessId,
        op: &QueueOp,
        now: Moment,
        had_fault: bool,
    ) {
        let receipts = match op {
            QueueOp::Delete { receipt, .. } => std::slice::from_ref(receipt),
            QueueOp::DeleteMany { receipts, .. } => receipts.items(),
            _ => return,
        };
        for receipt in receipts {
            let Some(at) = self.ids.index_of(&receipt.message) else { continue };
            let Some(done_at) = self.done_at.remove(&(who, at)) else { continue };
            let waited = now.since(done_at);
            // Under another reservation the same message may be held for another run.
            let again = self.may_be_duplicated(&receipt.message);
            if waited > MAX_ACK_DELAY && !had_fault && !again {
                let message = &receipt.message;
                self.broken("S10", || {
                    format!("{message} was done, and not deleted for {waited:?}")
                });
            }
        }
    }

    /// A worker of the Node package has run a task to its end.
    pub(crate) fn node_ran(&mut self, message: &MessageId, done: bool) {
        let Some(number) = self.task_of_message(message) else { return };
        let task = &mut self.tasks[number];
        task.finished += u32::from(done);
        task.causes.add(Cause::Node);
    }

    /// Whether a worker may report that the task of this message is done or dead-lettered.
    pub(crate) fn may_report(&self, who: ProcessId, message: &MessageId, succeeded: bool) -> bool {
        let Some(message) = self.ids.index_of(message).and_then(|at| self.messages.get(at)) else {
            return false;
        };
        let by = if succeeded { &message.done_by } else { &message.copied_by };
        let bare = || message.task.is_some_and(|task| self.successors.contains_key(&(who, task)));
        by.contains(&who) || (!succeeded && bare())
    }

    /// Whether a worker may report that this message waits for another worker: it must have
    /// released it. A notice that was certainly not published may be published again.
    pub(crate) fn may_report_released(&self, who: ProcessId, message: &MessageId) -> bool {
        let message = self.ids.index_of(message).and_then(|at| self.messages.get(at));
        message.is_some_and(|message| message.release_confirmed_to.contains(&who))
    }

    /// The reason of a dead letter must be true.
    pub(super) fn check_reason(&mut self, who: ProcessId, number: usize, letter: &DeadLetter) {
        let task = &self.tasks[number];
        let message = self.ids.index_of(&letter.id).and_then(|at| self.messages.get(at));
        let counted = message.map_or(0, |message| message.counted);
        let released = message.and_then(|message| message.released_by.get(&who).copied());
        // Another version of the worker, or one with another key, may be able to run it.
        let was_released_often = released.unwrap_or(0) >= RELEASES;
        // The bit of attempt 0 is never set.
        let failed_before = |attempts: u32| {
            let expected = (2u128 << attempts.min(126)) - 2;
            task.failed & expected == expected
        };
        let true_reason = match letter.reason {
            DeadLetterReason::RetriesExhausted => {
                failed_before(letter.attempts) && letter.attempts == task.max_attempts
            }
            DeadLetterReason::Fatal => task.plan == Plan::FailsFatally,
            DeadLetterReason::TooManyDeliveries => {
                self.was_lost_too_often(number, letter) || task.causes.has(Cause::Delivery)
            }
            DeadLetterReason::Deadline => task.has_deadline,
            DeadLetterReason::BadArgs => {
                task.plan == Plan::BadArgs && was_released_often
                    || task.sender == Sender::OtherProgram
            }
            DeadLetterReason::NoKey
            | DeadLetterReason::Undecryptable
            | DeadLetterReason::UnknownKey => {
                was_released_often && (self.wrong_keys || task.sender == Sender::OtherProgram)
            }
            DeadLetterReason::KeyDisabled => self.wrong_keys || task.sender == Sender::OtherProgram,
            // A message that was delivered from another queue than it was posted to.
            DeadLetterReason::BadTag => {
                let moved = task.causes.has(Cause::Delivery) || task.causes.has(Cause::Reply);
                was_released_often && (moved || task.sender == Sender::OtherProgram)
            }
            DeadLetterReason::UnknownTask
            | DeadLetterReason::UnsupportedVersion
            | DeadLetterReason::UnsupportedFormat => {
                was_released_often && task.sender == Sender::OtherProgram
            }
            _ => task.sender == Sender::OtherProgram,
        };
        if !true_reason {
            let (reason, attempts) = (letter.reason, letter.attempts);
            let task = task.clone();
            self.broken("L2", || {
                format!(
                    "task {number} was dead-lettered as {reason} after {attempts} attempts, \
                     {counted} counted: {task:?}"
                )
            });
        }
    }
}
