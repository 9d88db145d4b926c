//! The notifier: who is subscribed, and what goes to whom.

use std::collections::BTreeMap;

use ivy_proto::ChannelName;

use crate::task::Who;

/// A Redis server's publish and subscribe.
#[derive(Default)]
pub(crate) struct Redis {
    subscribers: BTreeMap<usize, Subscriber>,
}

struct Subscriber {
    who: Who,
    number: u32,
    channels: Vec<ChannelName>,
}

impl Redis {
    /// A host subscribes, and drops what it had subscribed to before.
    pub(crate) fn subscribe(&mut self, who: Who, number: u32, channels: Vec<ChannelName>) {
        self.subscribers.insert(who.host, Subscriber { who, number, channels });
    }

    /// A host's connection is gone.
    pub(crate) fn disconnect(&mut self, host: usize) -> Option<(Who, u32)> {
        self.subscribers.remove(&host).map(|subscriber| (subscriber.who, subscriber.number))
    }

    /// Who hears what is published on a channel, and on which of its subscriptions.
    pub(crate) fn listeners(&self, channel: &ChannelName) -> Vec<(Who, u32)> {
        let subscribers = self.subscribers.values();
        let listening = subscribers.filter(|subscriber| subscriber.channels.contains(channel));
        listening.map(|subscriber| (subscriber.who, subscriber.number)).collect()
    }

    /// All who are subscribed.
    pub(crate) fn hosts(&self) -> Vec<usize> {
        self.subscribers.keys().copied().collect()
    }
}
