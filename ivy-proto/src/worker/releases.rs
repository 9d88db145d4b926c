//! How often this process has given each message back because it cannot be decided here.
//!
//! The server's count does not tell that: other workers' deliveries, releases and renewals are in it
//! as well, so that a message could be dead-lettered before this worker, or any that knows it, had
//! looked at it more than once.

use std::collections::VecDeque;

use crate::id::MessageId;
use crate::name::QueueName;
use crate::table::Table;

/// How many messages are remembered. One that is forgotten is counted from the start again, so it
/// is released more often, never less.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Releases {
    of: Table<(QueueName, MessageId), Released>,
    oldest_first: VecDeque<(QueueName, MessageId)>,
}

/// What this process has done with a message before it gave it back.
#[derive(Clone, Copy, Debug, Default)]
struct Released {
    times: u32,
    renewals: u32,
}

impl Releases {
    /// How often the message was released so far.
    pub(super) fn of(&self, queue: &QueueName, message: &MessageId) -> u32 {
        self.released(queue, message).times
    }

    /// How much of a count that includes renewals and releases is known not to be lost deliveries.
    pub(super) fn not_lost(&self, queue: &QueueName, message: &MessageId) -> u32 {
        let Released { times, renewals } = self.released(queue, message);
        times.saturating_add(renewals)
    }

    fn released(&self, queue: &QueueName, message: &MessageId) -> Released {
        self.of.get(&(queue.clone(), message.clone())).copied().unwrap_or_default()
    }

    /// The message is released once more, after its lease was renewed so often.
    pub(super) fn one_more(&mut self, queue: &QueueName, message: &MessageId, renewals: u32) {
        let key = (queue.clone(), message.clone());
        let before = self.of.get(&key).copied();
        let mut released = before.unwrap_or_default();
        released.times = released.times.saturating_add(1);
        released.renewals = released.renewals.saturating_add(renewals);
        self.of.insert(key.clone(), released);
        if before.is_some() {
            return;
        }
        self.oldest_first.push_back(key);
        if self.oldest_first.len() > MOST
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.of.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).unwrap()
    }

    #[test]
    fn each_message_is_counted_by_itself() {
        let mut releases = Releases::default();
        let id = MessageId::new("7");
        for count in 0..12 {
            assert_eq!(releases.of(&queue("a"), &id), count);
            releases.one_more(&queue("a"), &id, 0);
        }
        assert_eq!(releases.of(&queue("b"), &id), 0, "another queue has ids of its own");
        assert_eq!(releases.of(&queue("a"), &MessageId::new("8")), 0);
    }

    #[test]
    fn releases_and_the_renewals_before_them_are_no_lost_deliveries() {
        let mut releases = Releases::default();
        let id = MessageId::new("7");
        assert_eq!(releases.not_lost(&queue("a"), &id), 0);
        releases.one_more(&queue("a"), &id, 3);
        releases.one_more(&queue("a"), &id, 0);
        assert_eq!((releases.of(&queue("a"), &id), releases.not_lost(&queue("a"), &id)), (2, 5));
    }

    #[test]
    fn the_oldest_message_is_forgotten_for_the_newest() {
        let mut releases = Releases::default();
        for number in 0..=MOST {
            releases.one_more(&queue("a"), &MessageId::new(number.to_string()), 0);
        }
        assert_eq!((releases.of.len(), releases.oldest_first.len()), (MOST, MOST));
        assert_eq!(releases.of(&queue("a"), &MessageId::new("0")), 0);
        assert_eq!(releases.of(&queue("a"), &MessageId::new("1")), 1);
    }
}
