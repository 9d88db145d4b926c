//! The labels of metrics, and their limits.

use std::borrow::Borrow;
use std::collections::BTreeSet;

use crate::name::{QueueName, TaskName};

/// The most queues that have a label of their own.
pub const MOST_QUEUES: usize = 100;
/// The most tasks that have a label of their own.
pub const MOST_TASKS: usize = 200;
/// The label of all other queues, and of all other tasks.
pub const OTHER: &str = "other";

/// A physical queue and a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The physical queue.
    pub queue: QueueName,
    /// The task.
    pub task: TaskName,
}

pub(crate) fn other_queue() -> QueueName {
    QueueName::new(OTHER).expect("a valid name")
}

pub(crate) fn other_task() -> TaskName {
    TaskName::new(OTHER).expect("a valid name")
}

/// The labels in use: the first ones up to the limits.
#[derive(Debug, Default)]
pub(super) struct Labels {
    queues: BTreeSet<QueueName>,
    tasks: BTreeSet<TaskName>,
    /// Whether the limit was exceeded.
    is_exceeded: bool,
}

impl Labels {
    /// The label of a queue.
    pub(super) fn queue(&mut self, queue: &QueueName) -> QueueName {
        label(&mut self.queues, queue, MOST_QUEUES).unwrap_or_else(|| {
            self.is_exceeded = true;
            other_queue()
        })
    }

    /// The label of a task.
    pub(super) fn task(&mut self, task: &TaskName) -> TaskName {
        label(&mut self.tasks, task, MOST_TASKS).unwrap_or_else(|| {
            self.is_exceeded = true;
            other_task()
        })
    }

    pub(super) fn key(&mut self, key: &TaskKey) -> TaskKey {
        TaskKey { queue: self.queue(&key.queue), task: self.task(&key.task) }
    }

    pub(super) fn are_exceeded(&self) -> bool {
        self.is_exceeded
    }
}

/// The name as its own label, if it has one or there is room. The label of the others takes no
/// room.
fn label<Name: Clone + Ord + Borrow<str>>(
    used: &mut BTreeSet<Name>,
    name: &Name,
    most: usize,
) -> Option<Name> {
    let text: &str = name.borrow();
    if text != OTHER && !used.contains(text) {
        if used.len() >= most {
            return None;
        }
        used.insert(name.clone());
    }
    Some(name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_limit_share_a_label() {
        let mut labels = Labels::default();
        let name = |number: usize| TaskName::new(&format!("t{number}")).unwrap();
        assert_eq!(labels.task(&other_task()), other_task());
        for number in 0..MOST_TASKS {
            assert_eq!(labels.task(&name(number)), name(number));
        }
        assert!(!labels.are_exceeded());
        assert_eq!(labels.task(&name(MOST_TASKS)), other_task());
        assert_eq!(labels.task(&name(0)), name(0));
        assert!(labels.are_exceeded());
    }
}
