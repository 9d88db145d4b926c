//! Counts the messages that this process has released because it could not decide on them.
//!
//! The server's count is not usable: it includes deliveries, releases and renewals of other
//! workers, so a message could be dead-lettered before this worker, or any worker that knows it,
//! had received it more than once.

use std::collections::VecDeque;
use std::hash::Hash;

use crate::hash_map::SortedHashMap;
use crate::id::{MessageId, TaskId};
use crate::name::QueueName;

/// How many messages and tasks are remembered. A forgotten one is counted from the start again, so
/// it is released more often, never less.
const MAX_REMEMBERED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct ReleaseCounts {
    messages: Counts<(QueueName, MessageId)>,
    /// By task, because a copy that replaces a message has another message id.
    tasks: Counts<TaskId>,
}

/// The counts of the most recent keys.
#[derive(Debug)]
struct Counts<Key: Eq + Hash> {
    of: SortedHashMap<Key, u32>,
    oldest_first: VecDeque<Key>,
}

impl ReleaseCounts {
    /// How often the message was released so far.
    pub(super) fn of(&self, queue: &QueueName, message: &MessageId) -> u32 {
        self.messages.of(&(queue.clone(), message.clone()))
    }

    /// Whether a message of this task was released.
    pub(super) fn has(&self, task: TaskId) -> bool {
        self.tasks.of(&task) > 0
    }

    /// Records a release.
    pub(super) fn record(&mut self, queue: &QueueName, message: &MessageId, task: TaskId) {
        self.messages.record((queue.clone(), message.clone()));
        self.tasks.record(task);
    }
}

impl<Key: Clone + Eq + Hash> Counts<Key> {
    fn of(&self, key: &Key) -> u32 {
        self.of.get(key).copied().unwrap_or(0)
    }

    fn record(&mut self, key: Key) {
        let before = self.of(&key);
        self.of.insert(key.clone(), before.saturating_add(1));
        if before > 0 {
            return;
        }
        self.oldest_first.push_back(key);
        if self.oldest_first.len() > MAX_REMEMBERED
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.of.remove(&oldest);
        }
    }
}

impl<Key: Eq + Hash> Default for Counts<Key> {
    fn default() -> Self {
        Counts { of: SortedHashMap::default(), oldest_first: VecDeque::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).unwrap()
    }

    fn task(number: u8) -> TaskId {
        TaskId::from_random([number; 16])
    }

    #[test]
    fn each_message_has_its_own_count() {
        let mut releases = ReleaseCounts::default();
        let id = MessageId::new("7");
        for count in 0..12 {
            assert_eq!(releases.of(&queue("a"), &id), count);
            releases.record(&queue("a"), &id, task(1));
        }
        assert_eq!(releases.of(&queue("b"), &id), 0, "ids are per queue");
        assert_eq!(releases.of(&queue("a"), &MessageId::new("8")), 0);
    }

    #[test]
    fn a_task_is_found_by_any_of_its_messages() {
        let mut releases = ReleaseCounts::default();
        assert!(!releases.has(task(1)));
        releases.record(&queue("a"), &MessageId::new("7"), task(1));
        assert!(releases.has(task(1)) && !releases.has(task(2)));
    }

    #[test]
    fn the_oldest_message_is_evicted() {
        let mut releases = ReleaseCounts::default();
        for number in 0..=MAX_REMEMBERED {
            releases.record(&queue("a"), &MessageId::new(number.to_string()), task(1));
        }
        let messages = &releases.messages;
        assert_eq!(
            (messages.of.len(), messages.oldest_first.len()),
            (MAX_REMEMBERED, MAX_REMEMBERED)
        );
        assert_eq!(releases.of(&queue("a"), &MessageId::new("0")), 0);
        assert_eq!(releases.of(&queue("a"), &MessageId::new("1")), 1);
    }
}
