//! The configuration of a producer.

use std::time::Duration;

use crate::name::{ChannelName, InvalidName};
use crate::queue::Capabilities;
use crate::wire::Codec;

use super::subscription::reply_channel;

/// The configuration of a producer: the backend's capabilities, the codec of message bodies, and
/// limits. Every value that can be built is valid.
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
    /// How message bodies are encoded.
    pub(super) codec: Codec,
    /// The channel shared with peers of the Node package, which is also the prefix of reply
    /// channels.
    /// `None` if there is no notifier; then no call can have a result.
    pub(super) notifier: Option<ChannelName>,
    /// Whether to enforce the Node package's size limit. Bodies in the Node package's encrypted
    /// format are always held to it.
    pub(super) node_compatible: bool,
    /// Whether to subscribe to the shared channel, for results from workers of the Node package.
    pub(super) node_peers: bool,
    /// The maximum number of calls that may wait to be sent, including those in flight.
    pub(super) outbox: usize,
    /// The maximum number of calls that may wait for a result.
    pub(super) waiting: usize,
    /// The maximum number of posts in flight to one queue.
    pub(super) posts_in_flight: usize,
    /// How long a call may wait to be sent, if it has no time limit of its own.
    pub(super) within: Option<Duration>,
    /// How long a call that wants a result, and has no time limit, waits for the subscription.
    pub(super) subscription_wait: Duration,
    /// The maximum number of tries to send a call.
    pub(super) tries: u32,
}

impl ProducerConfig {
    /// A configuration for a backend with these capabilities, whose message bodies use this codec.
    /// It has no notifier yet.
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
            within: None,
            subscription_wait: Duration::from_secs(10),
            tries: 5,
        }
    }

    /// Subscribes to results, on this shared channel and on a reply channel under its name.
    ///
    /// # Errors
    /// Returns an error if the name is too long for the reply channel, which is 25 bytes longer.
    pub fn with_notifier(mut self, channel: ChannelName) -> Result<Self, InvalidName> {
        reply_channel(&channel, [0; 16])?;
        self.notifier = Some(channel);
        Ok(self)
    }

    /// Refuses messages that are larger than a producer of the Node package would send. Bodies in
    /// the Node package's encrypted format are always held to that limit. Default: no.
    #[must_use]
    pub fn with_node_compatible(mut self, compatible: bool) -> Self {
        self.node_compatible = compatible;
        self
    }

    /// Also subscribes to the shared channel, on which workers of the Node package publish results.
    /// Default: yes.
    #[must_use]
    pub fn with_node_peers(mut self, peers: bool) -> Self {
        self.node_peers = peers;
        self
    }

    /// Limits the calls that may wait to be sent, including those in flight. Calls that [wait for
    /// room](super::Input::WaitingCalls) fill at most half of it. Default: 10,000.
    #[must_use]
    pub fn with_outbox(mut self, calls: usize) -> Self {
        self.outbox = calls;
        self
    }

    /// How many calls may wait to be sent before those that wait for room are accepted.
    pub(super) fn outbox_of_waiting(&self) -> usize {
        self.outbox.div_ceil(2).max(1)
    }

    /// Limits the calls that may wait for a result. Default: 100,000.
    #[must_use]
    pub fn with_waiting(mut self, results: usize) -> Self {
        self.waiting = results;
        self
    }

    /// Limits the posts in flight to each queue, at least one. Default: 8.
    #[must_use]
    pub fn with_posts_in_flight(mut self, posts: usize) -> Self {
        self.posts_in_flight = posts.max(1);
        self
    }

    /// Limits how long calls that set no limit themselves may wait to be sent: for the
    /// subscription, and for the queue. Default: no limit.
    #[must_use]
    pub fn with_within(mut self, within: Option<Duration>) -> Self {
        self.within = within;
        self
    }

    /// Limits how long calls that want a result, and have no time limit, wait for the subscription.
    /// Default: 10 s.
    #[must_use]
    pub fn with_subscription_wait(mut self, wait: Duration) -> Self {
        self.subscription_wait = wait;
        self
    }

    /// Limits the tries to send a call, at least one. Default: 5.
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
    fn a_notifier_name_too_long_for_reply_channels_is_refused() {
        let config = || ProducerConfig::new(Capabilities::broker(), Codec::plain());
        let channel = |length| ChannelName::new(&"x".repeat(length)).unwrap();
        assert!(config().with_notifier(channel(230)).is_ok());
        assert!(config().with_notifier(channel(231)).is_err());
    }
}
