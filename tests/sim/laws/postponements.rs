//! S19: a task that its handler postpones loses no attempt, and its count is the number of times
//! that handlers have postponed it.

use std::time::Duration;

use ivy_proto::worker::Run;
use ivy_proto::{MessageId, TaskError};

use super::{LawChecker, StartedHandler};
use crate::task::{AttemptInfo, Sender};

impl LawChecker {
    /// How often the task of this run was postponed before, according to its message.
    pub(crate) fn postponements_of(&self, run: &Run) -> u32 {
        let message = self.ids.index_of(&run.message).and_then(|at| self.messages.get(at));
        message.map_or(0, |message| message.attempt_info.later)
    }

    /// Records that a handler returned this error. Returns whether it postponed its task, as often
    /// as the worker's limit allows.
    pub(super) fn record_postponement(&mut self, by: StartedHandler, error: &TaskError) -> bool {
        let message = &mut self.messages[by.message];
        let later = message.attempt_info.later;
        let Some(delay) = error.postponed_by().filter(|_| later < self.max_later) else {
            return false;
        };
        message.postponed_by = Some(delay);
        self.tasks[by.task].postponed.insert((by.attempt, later));
        true
    }

    /// The delay by which the handler of a message postponed its task, if it did.
    pub(crate) fn postponed_by(&self, message: &MessageId) -> Option<Duration> {
        let message = self.ids.index_of(message).and_then(|at| self.messages.get(at));
        message.and_then(|message| message.postponed_by)
    }

    /// A worker posts a message that no one has posted before. Returns whether it follows a
    /// postponement. Otherwise it follows a failed attempt.
    pub(super) fn check_succession(&mut self, number: usize, info: AttemptInfo) -> bool {
        let task = &self.tasks[number];
        let before = info.later.checked_sub(1);
        if before.is_some_and(|before| task.postponed.contains(&(info.attempt, before))) {
            return true;
        }
        if task.sender == Sender::OtherProgram {
            return false;
        }
        // The bit of attempt 0 is never set.
        let expected = (1u128 << info.attempt.min(127)) - 2;
        if !task.has_recorded_later(info.later) || task.failed & expected != expected {
            let task = task.clone();
            self.broken("S19", || {
                format!(
                    "task {number} follows neither a failure nor a postponement: {info:?} {task:?}"
                )
            });
        }
        false
    }
}
