//! Lost deliveries as they really were, beside what messages and dead letters say of them.

use ivy_proto::wire::DeadLetter;

use super::{LawChecker, index};
use crate::task::{Cause, Sender};

/// Where a task allows no retries, the queue's count must do, and may be so many times larger.
const COUNTED_FOR_ONE: u32 = 5;

impl LawChecker {
    /// A worker has posted a message that carries so many lost deliveries: there were as many.
    pub(super) fn check_carried(&mut self, number: usize, attempt: u32, carries: u32) {
        let task = &self.tasks[number];
        let most = task.may_seem_lost(attempt);
        if carries > most && !task.causes.has(Cause::Delivery) && task.sender != Sender::Stranger {
            self.broken("L2", || {
                format!("task {number}: attempt {attempt} carries {carries} lost of {most}")
            });
        }
        if carries > 0 && (self.backend.counts_exactly() || self.tasks[number].max_attempts == 1) {
            self.broken("L2", || format!("task {number} carries lost deliveries in vain"));
        }
    }

    /// Whether so many deliveries were lost that the message had to be moved to the dead letters.
    pub(super) fn was_lost_too_often(&self, number: usize, letter: &DeadLetter) -> bool {
        let task = &self.tasks[number];
        let Some(message) = index(&letter.id).and_then(|at| self.messages.get(at)) else {
            return false;
        };
        let limit = self.max_deliveries;
        if self.backend.counts_exactly() {
            message.lost >= limit
        } else if task.max_attempts == 1 {
            message.counted > COUNTED_FOR_ONE * limit
        } else {
            task.may_seem_lost(message.says.attempt) >= limit
        }
    }
}
