//! The true number of lost deliveries, compared with the counts in messages and dead letters.

use ivy_proto::wire::DeadLetter;

use super::LawChecker;
use crate::task::{AttemptInfo, Cause, Sender};

/// If a task allows no retries, the queue's count is used instead, and may be this many times
/// larger.
const COUNT_FACTOR: u32 = 5;

impl LawChecker {
    /// A worker has posted a message with this count of lost deliveries: at least as many must have
    /// occurred.
    pub(super) fn check_lost_count(&mut self, number: usize, attempt_info: AttemptInfo) {
        let AttemptInfo { attempt, lost: carried, later, .. } = attempt_info;
        let exact = self.backend.counts_exactly();
        let task = &self.tasks[number];
        // A server that counts exactly does not count by attempt.
        let max: u32 = match exact {
            true => task.lost.values().sum(),
            false => task.count_seemingly_lost(attempt),
        };
        let estimated = later > 0 && !exact && task.max_attempts == 1;
        let causes = task.causes;
        if carried > max
            && !estimated
            && !causes.has(Cause::Delivery)
            && task.sender != Sender::OtherProgram
        {
            self.broken("L2", || {
                format!("task {number}: attempt {attempt} has {carried} lost deliveries of {max}")
            });
        }
        // The successor of a postponed task carries what the queue has counted for its message.
        if carried > 0 && later == 0 && (exact || self.tasks[number].max_attempts == 1) {
            self.broken("L2", || {
                format!("task {number} has lost deliveries, which nothing will read")
            });
        }
    }

    /// Whether enough deliveries were lost for the message to be dead-lettered.
    pub(super) fn was_lost_too_often(&self, number: usize, letter: &DeadLetter) -> bool {
        let task = &self.tasks[number];
        let Some(message) = self.ids.index_of(&letter.id).and_then(|at| self.messages.get(at))
        else {
            return false;
        };
        let limit = self.max_deliveries;
        let carried = message.attempt_info.lost;
        if self.backend.counts_exactly() {
            message.lost + carried >= limit
        } else if task.max_attempts == 1 && carried == 0 {
            message.counted > COUNT_FACTOR * limit
        } else if task.max_attempts == 1 {
            carried + 1 + message.counted / COUNT_FACTOR >= limit
        } else {
            task.count_seemingly_lost(message.attempt_info.attempt) >= limit
        }
    }
}
