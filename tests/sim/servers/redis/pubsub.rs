//! Publish and subscribe: the subscribers of each channel.

use std::collections::BTreeMap;

use ivy_proto::ChannelName;

/// A Redis server's publish and subscribe. `L` identifies the listener of a connection.
#[derive(Debug)]
pub struct PubSub<L> {
    subscribers: BTreeMap<usize, Subscriber<L>>,
}

#[derive(Debug)]
struct Subscriber<L> {
    listener: L,
    channels: Vec<ChannelName>,
}

impl<L> Default for PubSub<L> {
    fn default() -> Self {
        PubSub { subscribers: BTreeMap::new() }
    }
}

impl<L: Copy> PubSub<L> {
    /// A connection subscribes, which replaces its earlier subscription.
    pub fn subscribe(&mut self, connection: usize, listener: L, channels: Vec<ChannelName>) {
        self.subscribers.insert(connection, Subscriber { listener, channels });
    }

    /// A connection has ended. Returns its listener.
    pub fn disconnect(&mut self, connection: usize) -> Option<L> {
        self.subscribers.remove(&connection).map(|subscriber| subscriber.listener)
    }

    /// The subscribers of a channel.
    pub fn listeners(&self, channel: &ChannelName) -> Vec<L> {
        let subscribers = self.subscribers.values();
        let listening = subscribers.filter(|subscriber| subscriber.channels.contains(channel));
        listening.map(|subscriber| subscriber.listener).collect()
    }

    /// All connections that are subscribed.
    pub fn connections(&self) -> Vec<usize> {
        self.subscribers.keys().copied().collect()
    }
}
