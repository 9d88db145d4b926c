//! Remembers recently completed messages.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::time::Moment;
use crate::wire::crypto::MessageKey;

/// How many completed messages a worker remembers, and for how long.
///
/// At-least-once delivery may deliver a completed message again, for instance if its delete was
/// lost or a client posted a copy; this avoids the second run. The memory belongs to this worker
/// alone: it is not shared, and a restart clears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    /// The maximum number of messages. Default: 10,000.
    pub messages: usize,
    /// How long a message is remembered. Default: 24 hours.
    pub time: Duration,
}

impl Default for ReplayWindow {
    fn default() -> Self {
        ReplayWindow { messages: 10_000, time: Duration::from_secs(24 * 60 * 60) }
    }
}

#[derive(Debug)]
pub(super) struct CompletedMessages {
    window: Option<ReplayWindow>,
    keys: BTreeSet<MessageKey>,
    /// Oldest first.
    since: VecDeque<(Moment, MessageKey)>,
}

impl CompletedMessages {
    pub(super) fn new(window: Option<ReplayWindow>) -> Self {
        CompletedMessages { window, keys: BTreeSet::new(), since: VecDeque::new() }
    }

    pub(super) fn add(&mut self, key: Option<MessageKey>, now: Moment) {
        let (Some(window), Some(key)) = (self.window, key) else { return };
        if self.keys.insert(key) {
            self.since.push_back((now, key));
        }
        while self.since.len() > window.messages {
            self.forget_oldest();
        }
    }

    pub(super) fn contains(&mut self, key: Option<MessageKey>, now: Moment) -> bool {
        let (Some(window), Some(key)) = (self.window, key) else { return false };
        while self.since.front().is_some_and(|(since, _)| now.since(*since) > window.time) {
            self.forget_oldest();
        }
        self.keys.contains(&key)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, key)) = self.since.pop_front() {
            self.keys.remove(&key);
        }
    }
}
