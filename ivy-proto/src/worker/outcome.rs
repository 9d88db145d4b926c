//! Handles the outcome of a handler: success, retry or dead letter.

use std::time::Duration;

use crate::event::{Event, ReleaseReason};
use crate::id::JobId;
use crate::metrics::Execution;
use crate::planted::{Bug, planted};
use crate::queue::Retry;
use crate::task::{HandlerEnd, TaskError};
use crate::wire::{DeadLetterReason, Envelope, RawJson, value_is_too_deep};

use super::Worker;
use super::io::{CancelReason, JobOutcome, Timer};
use super::job::{DeadLettering, Job, JobWithoutLease, Scheduled, Settlement, Stage, Succession};
use super::poller::PauseReason;

/// How long a queue and a message are paused after the system could not start a thread for the
/// message's handler.
const NO_THREAD_DELAY: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) fn take_outcome(&mut self, job: JobId, mut outcome: JobOutcome) {
        let was_interrupted = self.nested_waits.handler_ended(job);
        self.lose_ended_lease(job);
        if let Some(job) = self.without_lease.remove(&job) {
            // Another worker may be running its message, so its result does not count.
            return self.job_without_lease_ended(&job, outcome);
        }
        let Some(held) = self.jobs.get(&job) else { return };
        let Stage::Running { started_at, waited, overdue } = held.stage else { return };
        let Some(scheduled) = held.scheduled.clone() else { return };
        let row = held.row;
        self.running -= 1;
        self.coalescing.ended(started_at, self.fx.now);
        self.suspects.ended(job);
        self.fx.timers.stop(&Timer::TimeLimit(job));
        let run = EndedRun { took: self.fx.now.since(started_at), waited };
        let mut postponed = None;
        if let JobOutcome::Failed(error) = &mut outcome
            && let Some(delay) = error.postponed_by()
        {
            match self.postpone(job, &scheduled, error, delay) {
                Ok(settlement) => postponed = Some(settlement),
                Err(counted) => *error = counted,
            }
        }
        if let Some(execution) = execution(&outcome, overdue) {
            self.fx.meter.executed(row, execution, run.took);
        }
        if !matches!(outcome, JobOutcome::BadArgs(_) | JobOutcome::NotRun) {
            self.handled(&scheduled);
        }
        let failure = match outcome {
            JobOutcome::Done(result) => {
                let result = Some(&result).filter(|result| !value_is_too_deep(result));
                return self.succeed(job, &scheduled, result, run);
            }
            JobOutcome::ResultTooDeep => return self.succeed(job, &scheduled, None, run),
            JobOutcome::Panicked(_) if planted(Bug::AckOnPanic) => {
                return self.settle_as(job, Settlement::Delete);
            }
            JobOutcome::BadArgs(message) => return self.reject_mismatch(job, message),
            JobOutcome::NotRun => return self.release_not_run(job),
            JobOutcome::Failed(error) => match postponed {
                Some(settlement) => {
                    self.executed(&scheduled, run, Some(error));
                    return self.settle_as(job, settlement);
                }
                None => error,
            },
            JobOutcome::Panicked(message) => panicked(&message),
            JobOutcome::Cancelled if overdue == Some(CancelReason::LeaseLimit) => {
                cancelled(overdue, "the handler exceeded the queue's limit for holding a message")
            }
            JobOutcome::Cancelled if overdue.is_some() => {
                let limit = scheduled.time_limit.unwrap_or_default();
                cancelled(overdue, format!("the handler exceeded its time limit of {limit:?}"))
            }
            JobOutcome::Cancelled => cancelled(None, "the handler was cancelled"),
        };
        if was_interrupted && overdue.is_none() {
            return self.release_interrupted(job, &scheduled, failure, run);
        }
        self.fail(job, &scheduled, failure, run);
    }

    /// Loses an ended lease whose timer has not fired yet because the driver was delayed.
    fn lose_ended_lease(&mut self, job: JobId) {
        let ended = |held: &Job| held.lease.until(self.fx.wall) <= self.fx.now;
        if self.jobs.get(&job).is_some_and(ended) {
            self.lose_lease(job);
        }
    }

    /// `result` is `None` if it is nested too deep.
    fn succeed(
        &mut self,
        job: JobId,
        scheduled: &Scheduled,
        result: Option<&RawJson>,
        run: EndedRun,
    ) {
        let Some(held) = self.jobs.get(&job) else { return };
        let message = held.lease.receipt().message.clone();
        self.completed.add(held.message_key, self.fx.now);
        self.executed(scheduled, run, None);
        self.settle_as(job, Settlement::Delete);
        self.notify_success(&message, scheduled, result);
    }

    fn fail(&mut self, job: JobId, scheduled: &Scheduled, error: TaskError, run: EndedRun) {
        self.executed(scheduled, run, Some(error.clone()));
        let reason = if error.is_fatal() {
            DeadLetterReason::Fatal
        } else if scheduled.attempt >= scheduled.max_attempts {
            DeadLetterReason::RetriesExhausted
        } else {
            return self.retry(job, scheduled, &error);
        };
        let settlement = Settlement::DeadLetter(DeadLettering {
            reason,
            message: error.message().to_owned(),
            attempts: scheduled.attempt,
            bare: false,
        });
        self.settle_as(job, settlement);
    }

    /// The handler failed after the draining worker ended its wait for a result.
    fn release_interrupted(
        &mut self,
        job: JobId,
        scheduled: &Scheduled,
        error: TaskError,
        run: EndedRun,
    ) {
        self.executed(scheduled, run, Some(error));
        self.release(job, Duration::ZERO, ReleaseReason::Drain);
    }

    /// There was no thread for the handler, and there is unlikely to be one for the next message.
    fn release_not_run(&mut self, job: JobId) {
        let Some(queue) = self.jobs.get(&job).map(|held| held.queue.clone()) else { return };
        self.release(job, NO_THREAD_DELAY, ReleaseReason::NoThread);
        if !self.is_draining() {
            self.pause_queue(&queue, NO_THREAD_DELAY, PauseReason::Failing);
        }
    }

    fn retry(&mut self, job: JobId, scheduled: &Scheduled, error: &TaskError) {
        let delay = self.config.backoff.delay(scheduled.attempt - 1, &mut self.fx.rng);
        let delay = delay.min(self.config.capabilities.max_delay);
        let counts = self.jobs.get(&job).is_some_and(|held| held.deliveries.are_exact);
        if counts && self.config.capabilities.retry == Retry::Release {
            return self.release(job, delay, ReleaseReason::Retry);
        }
        let queue = &scheduled.task.queue;
        let successor = successor(scheduled, self.fx.wall.unix_millis(self.fx.now + delay));
        let successor = self.config.codec.seal(&successor, queue, &mut self.fx.entropy);
        if successor.as_str().len() > self.config.capabilities.max_body {
            // Released instead, it would be retried indefinitely under the same attempt number.
            let message =
                format!("{}; the next attempt's message would be too large", error.message());
            let settlement = Settlement::DeadLetter(DeadLettering {
                reason: DeadLetterReason::RetriesExhausted,
                message,
                attempts: scheduled.attempt,
                bare: false,
            });
            return self.settle_as(job, settlement);
        }
        let succession = Succession::Retry;
        self.settle_as(job, Settlement::Successor { successor, delay, succession });
    }

    fn executed(&mut self, scheduled: &Scheduled, run: EndedRun, error: Option<TaskError>) {
        let (task, attempt) = (scheduled.task.clone(), scheduled.attempt);
        let EndedRun { took, waited } = run;
        self.fx.event(Event::TaskExecuted { task, attempt, took, waited, error });
    }

    fn job_without_lease_ended(&mut self, job: &JobWithoutLease, outcome: JobOutcome) {
        let took = self.fx.now.since(job.started_at);
        if let Some(execution) = execution(&outcome, Some(job.reason)) {
            self.fx.meter.executed(job.row, execution, took);
        }
        let error = match outcome {
            // It was not run.
            JobOutcome::BadArgs(_) | JobOutcome::NotRun => return,
            JobOutcome::Done(_) | JobOutcome::ResultTooDeep => None,
            JobOutcome::Failed(error) => Some(error),
            JobOutcome::Panicked(message) => Some(panicked(&message)),
            JobOutcome::Cancelled => Some(cancelled(
                Some(job.reason),
                match job.reason {
                    CancelReason::LeaseLost => {
                        "the handler was cancelled because its message's lease was lost"
                    }
                    CancelReason::Drain => {
                        "the handler was cancelled because the worker's drain limit passed"
                    }
                    CancelReason::LeaseLimit => {
                        "the handler was cancelled because the queue's limit for holding a message was reached"
                    }
                    CancelReason::TimeLimit => "the handler exceeded its time limit",
                },
            )),
        };
        self.fx.event(Event::TaskExecuted {
            task: job.task.clone(),
            attempt: job.attempt,
            took,
            waited: None,
            error,
        });
    }

    /// The worker ends and no longer waits for cancelled handlers.
    pub(super) fn leave_jobs_without_lease(&mut self) {
        for job in std::mem::take(&mut self.without_lease).into_values() {
            self.job_without_lease_ended(&job, JobOutcome::Cancelled);
        }
    }
}

/// How the run of a handler counts that was stopped for this reason, if it was. `None` if it was
/// not run.
fn execution(outcome: &JobOutcome, stopped: Option<CancelReason>) -> Option<Execution> {
    Some(match (outcome, stopped) {
        (JobOutcome::Done(_) | JobOutcome::ResultTooDeep, _) => Execution::Ok,
        (JobOutcome::Failed(error), _) if error.postponed_by().is_some() => Execution::Later,
        (JobOutcome::Failed(_), _) => Execution::Error,
        (JobOutcome::Panicked(_), _) => Execution::Panic,
        (JobOutcome::BadArgs(_), _) => Execution::BadArgs,
        (JobOutcome::NotRun, _) => return None,
        (JobOutcome::Cancelled, Some(CancelReason::TimeLimit | CancelReason::LeaseLimit)) => {
            Execution::TimeLimit
        }
        (JobOutcome::Cancelled, _) => Execution::Cancelled,
    })
}

fn panicked(message: &str) -> TaskError {
    TaskError::ended(HandlerEnd::Panicked, format!("the handler panicked: {message}"))
}

fn cancelled(reason: Option<CancelReason>, message: impl Into<String>) -> TaskError {
    TaskError::ended(HandlerEnd::Cancelled(reason), message)
}

/// The run of a handler that has ended.
#[derive(Clone, Copy)]
struct EndedRun {
    took: Duration,
    /// How long its task waited before, if that is known.
    waited: Option<Duration>,
}

/// The message of the task's next attempt: the same id, the next attempt number, due at this Unix
/// time in milliseconds.
fn successor(scheduled: &Scheduled, due: u64) -> Envelope {
    scheduled.copy(|ivy| {
        ivy.attempt = scheduled.attempt.saturating_add(1);
        if !planted(Bug::SuccessorKeepsDue) {
            ivy.due = Some(due);
        }
        ivy.lost = 0;
    })
}
