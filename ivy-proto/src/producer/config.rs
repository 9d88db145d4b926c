//! What a producer is told when it is made.

use std::time::Duration;

use crate::name::{ChannelName, InvalidName};
use crate::queue::Capabilities;
use crate::wire::Codec;

use super::subscription::reply_channel;

/// How a producer works: what its queue backend can do, how bodies are written, and its limits.
/// Every configuration that can be made works.
///
/// ```
/// use ivy_proto::ChannelName;
/// use ivy_proto::producer::ProducerConfig;
/// use ivy_proto::queue::Capabilities;
/// use ivy_proto::wire::Codec;
///
/// let config = ProducerConfig::new(Capabilities::broker(), Codec::plain())
///     .with_notifier(ChannelName::new("ivy-notifier")?)?
///     .with_outbox(1_000);
/// # Ok::<(), ivy_proto::InvalidName>(())
/// ```
#[derive(Clone, Debug)]
pub struct ProducerConfig {
    /// What the queue backend can do.
    pub(super) capabilities: Capabilities,
    /// How bodies are written.
    pub(super) codec: Codec,
    /// The channel that peers of the original share, and the prefix of reply channels. `None`:
    /// there is no notifier, so no call can have a result.
    pub(super) notifier: Option<ChannelName>,
    /// Whether messages must not be larger than a producer of the original would send. Encrypted
    /// ones never are.
    pub(super) node_compatible: bool,
    /// Whether to listen to peers of the original.
    pub(super) node_peers: bool,
    /// The most calls that may wait to be sent, those in flight included.
    pub(super) outbox: usize,
    /// The most calls whose results may be waited for.
    pub(super) waiting: usize,
    /// The most posts that may be in flight to one queue at a time.
    pub(super) posts_in_flight: usize,
    /// How long a call that wants a result waits for the notifier.
    pub(super) subscription_wait: Duration,
    /// How often a call is sent at most.
    pub(super) tries: u32,
}

impl ProducerConfig {
    /// A producer for a backend that can do this, whose bodies are written so. It has no notifier
    /// yet.
    #[must_use]
    pub fn new(capabilities: Capabilities, codec: Codec) -> Self {
        ProducerConfig {
            capabilities,
            codec,
            notifier: None,
            node_compatible: false,
            node_peers: true,
            outbox: 10_000,
            waiting: 100_000,
            posts_in_flight: 8,
            subscription_wait: Duration::from_secs(10),
            tries: 5,
        }
    }

    /// Listen for results, on this shared channel and on a reply channel under its name.
    ///
    /// # Errors
    /// If the name leaves no room for that of a reply channel, which is 25 bytes longer.
    pub fn with_notifier(mut self, channel: ChannelName) -> Result<Self, InvalidName> {
        reply_channel(&channel, [0; 16])?;
        self.notifier = Some(channel);
        Ok(self)
    }

    /// Refuse messages that are larger than a producer of the original would send. Encrypted ones
    /// are always refused then, since they are in the original's own form. Default: no.
    #[must_use]
    pub fn with_node_compatible(mut self, compatible: bool) -> Self {
        self.node_compatible = compatible;
        self
    }

    /// Listen on the shared channel too, where workers of the original answer. Default: yes.
    #[must_use]
    pub fn with_node_peers(mut self, peers: bool) -> Self {
        self.node_peers = peers;
        self
    }

    /// Let so many calls wait to be sent, those in flight included. Default: 10,000.
    #[must_use]
    pub fn with_outbox(mut self, calls: usize) -> Self {
        self.outbox = calls;
        self
    }

    /// Let the results of so many calls be waited for. Default: 100,000.
    #[must_use]
    pub fn with_waiting(mut self, results: usize) -> Self {
        self.waiting = results;
        self
    }

    /// Have so many posts in flight to each queue, at least one. Default: 8.
    #[must_use]
    pub fn with_posts_in_flight(mut self, posts: usize) -> Self {
        self.posts_in_flight = posts.max(1);
        self
    }

    /// Let calls that want a result wait so long for the notifier. Default: 10 s.
    #[must_use]
    pub fn with_subscription_wait(mut self, wait: Duration) -> Self {
        self.subscription_wait = wait;
        self
    }

    /// Send a call so often before it is given up, at least once. Default: 5.
    #[must_use]
    pub fn with_tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notifier_whose_reply_channels_have_no_name_is_refused() {
        let config = || ProducerConfig::new(Capabilities::broker(), Codec::plain());
        let channel = |length| ChannelName::new(&"x".repeat(length)).unwrap();
        assert!(config().with_notifier(channel(230)).is_ok());
        assert!(config().with_notifier(channel(231)).is_err());
    }
}
