//! Messages that were done, remembered for a while.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::time::Moment;
use crate::wire::crypto::MessageKey;

/// How many messages that were done a worker remembers, and for how long.
///
/// A queue that delivers at least once replays by nature: this spares the second run where the
/// first one's delete was lost, or where somebody has posted a copy. It is this worker's own memory,
/// which others do not share and which a restart empties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    /// The most messages. Default: 10,000.
    pub messages: usize,
    /// The longest time. Default: 24 hours.
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
