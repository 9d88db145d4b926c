//! Postpones a task whose handler returned [`TaskError::later`]: a successor with the same attempt
//! takes the place of its message, on every backend, so that the count travels with the task.

use std::time::Duration;

use crate::id::JobId;
use crate::planted::{Bug, planted};
use crate::task::TaskError;
use crate::text::brief;
use crate::wire::DeadLetterReason;

use super::Worker;
use super::job::{DeadLettering, Scheduled, Settlement, Succession};

impl Worker {
    /// How to settle the message of a task whose handler postpones it by `delay`.
    ///
    /// # Errors
    /// If it may not be postponed: the error of the failed attempt as which the postponement
    /// counts.
    pub(super) fn postpone(
        &mut self,
        job: JobId,
        scheduled: &Scheduled,
        error: &TaskError,
        delay: Duration,
    ) -> Result<Settlement, TaskError> {
        let (before, limit) = (scheduled.later(), self.config.max_later);
        if before >= limit {
            return Err(error.to_failed_attempt(&format!(
                "the worker's max_later is {limit}, so this postponement counts as a failed attempt"
            )));
        }
        let delay = delay.min(self.config.capabilities.max_delay);
        let due = self.fx.wall.unix_millis(self.fx.now + delay);
        let deadline = scheduled.envelope.options.ivy().and_then(|ivy| ivy.deadline);
        // No tolerance for skewed clocks as at a start: the caller is told at once, instead of
        // after a delay that the handler knows to be too long.
        if self.fx.wall_is_plausible() && deadline.is_some_and(|deadline| due > deadline) {
            let message = format!(
                "{}; the handler postponed it by {delay:?}, past its deadline",
                error.message()
            );
            return Ok(Settlement::DeadLetter(DeadLettering {
                reason: DeadLetterReason::Deadline,
                message,
                attempts: scheduled.attempt - 1,
                bare: false,
            }));
        }
        // A task that crashes its workers must not escape by postponing itself in between.
        let lost = self.jobs.get(&job).map_or(0, |held| held.deliveries.lost);
        let later = before.saturating_add(1);
        let successor = scheduled.copy(|ivy| {
            let counted = u32::from(planted(Bug::LaterCountsAttempt));
            ivy.attempt = scheduled.attempt.saturating_add(counted);
            (ivy.due, ivy.lost, ivy.later) = (Some(due), lost, later);
        });
        let queue = &scheduled.task.queue;
        let successor = self.config.codec.seal(&successor, queue, &mut self.fx.entropy);
        if successor.as_str().len() > self.config.capabilities.max_body {
            return Err(error.to_failed_attempt(
                "its message would be too large to be postponed, so this counts as a failed attempt",
            ));
        }
        let message = brief(error.message()).to_owned();
        let succession = Succession::Postponed { count: later, message };
        Ok(Settlement::Successor { successor, delay, succession })
    }
}
