//! What a queue backend can do.

use std::time::Duration;

/// What a queue backend can do, told to the machines when they are made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The longest time that a reserve may wait for a message. Zero: it answers at once.
    pub long_poll: Duration,
    /// The most messages in one request.
    pub batch: BatchLimits,
    /// The largest body, in bytes.
    pub max_body: usize,
    /// The largest request, in bytes, that one batch may become.
    pub max_request: usize,
    /// The shortest and the longest lease that the backend grants.
    pub lease: (Duration, Duration),
    /// The shortest lease that the backend's documentation allows. A shorter one within
    /// [`lease`](Capabilities::lease) is used all the same, with a warning.
    pub documented_lease: Duration,
    /// The longest delay of a message.
    pub max_delay: Duration,
    /// Whether a reserve that is given up takes no message with it, however late that is. Elsewhere,
    /// what it was about to bring returns when its lease ends.
    pub takes_back_reserves: bool,
}

/// The most messages in one request, by what it does with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BatchLimits {
    /// In one [`QueueOp::Post`](super::QueueOp::Post).
    pub post: usize,
    /// In one [`QueueOp::Reserve`](super::QueueOp::Reserve).
    pub reserve: usize,
    /// In one [`QueueOp::DeleteMany`](super::QueueOp::DeleteMany).
    pub delete: usize,
}

impl BatchLimits {
    /// The same number for all.
    #[must_use]
    pub const fn same(messages: usize) -> Self {
        BatchLimits { post: messages, reserve: messages, delete: messages }
    }
}

impl Capabilities {
    /// What IronMQ v3 can do.
    #[must_use]
    pub const fn ironmq() -> Self {
        Capabilities {
            long_poll: Duration::from_secs(30),
            batch: BatchLimits::same(100),
            max_body: 256 * 1024,
            max_request: 256 * 1024,
            lease: (Duration::from_secs(1), Duration::from_secs(86_400)),
            documented_lease: Duration::from_secs(30),
            max_delay: Duration::from_secs(604_800),
            takes_back_reserves: false,
        }
    }

    /// What the in-memory [`broker`](crate::broker) can do, which follows IronMQ, and of which no
    /// documentation says less than it does.
    #[must_use]
    pub const fn broker() -> Self {
        let mut capabilities = Capabilities::ironmq();
        capabilities.documented_lease = capabilities.lease.0;
        capabilities
    }

    /// The same, with another limit for one body.
    #[must_use]
    pub const fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The same, for a backend where a reserve that is given up takes no message with it.
    #[must_use]
    pub const fn with_reserves_taken_back(mut self) -> Self {
        self.takes_back_reserves = true;
        self
    }

    /// The same, for a backend that answers a reserve at once.
    #[must_use]
    pub const fn without_long_poll(mut self) -> Self {
        self.long_poll = Duration::ZERO;
        self
    }
}
