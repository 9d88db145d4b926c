//! What a sweep will do, as the operator sees it before anything is changed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::name::{QueueName, TaskName};
use crate::wire::DeadLetterReason;

use super::super::report::Truncated;
use super::super::rewrite::Obstacle;
use super::config::Action;

/// What a sweep will do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The swept queue.
    pub queue: QueueName,
    /// What is done with the selected messages.
    pub action: Action,
    /// The size of the queue when the sweep began, if the backend reports it. It includes messages
    /// that others hold and delayed ones.
    pub size: Option<u64>,
    /// How many messages were looked at, counting each copy. Zero for messages of a queue that
    /// workers serve, which are looked at after the answer.
    pub looked_at: usize,
    /// How many of them are selected, counting each copy.
    pub selected: usize,
    /// How many are selected, counting copies of one message once.
    pub messages: usize,
    /// How many will be processed, counting copies once: selected, without an obstacle, and not left
    /// because of [`Requeue::one_per_task`](super::super::Requeue::one_per_task).
    pub processed: usize,
    /// How many messages these are in the queue, counting each copy. All of them are deleted.
    pub processed_with_copies: usize,
    /// How many will not be processed, by obstacle, counting each copy. Those that could
    /// [not be compared](Obstacle::NotCompared) or [not be read](Obstacle::NotReturned) are not
    /// selected.
    pub obstacles: BTreeMap<Obstacle, usize>,
    /// How many will be left because another one of their task is posted, counting each copy.
    pub others_of_task: usize,
    /// How many will be posted to which queue.
    pub targets: BTreeMap<QueueName, usize>,
    /// How many are selected of each task, counting each copy. `None`: the task is unknown.
    pub tasks: BTreeMap<Option<TaskName>, usize>,
    /// How many are selected for each reason, counting each copy. `None`: the reason is unknown.
    pub reasons: BTreeMap<Option<DeadLetterReason>, usize>,
    /// Why not all messages were looked at.
    pub truncated: Option<Truncated>,
    /// How long the operator may think. `None`: there is nothing to be agreed to.
    pub answer_within: Option<Duration>,
}

impl Plan {
    /// Whether the sweep waits for the operator's answer.
    #[must_use]
    pub fn needs_confirmation(&self) -> bool {
        self.answer_within.is_some()
    }

    /// Whether all messages that were looked at are selected.
    #[must_use]
    pub fn matches_everything(&self) -> bool {
        self.selected == self.looked_at
    }
}
