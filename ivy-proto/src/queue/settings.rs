//! Settings and sizes of queues.

use std::time::Duration;

use crate::name::QueueName;

/// Settings of a queue. `None` means not specified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueSettings {
    /// Whether messages can be reserved. `false` if the server itself delivers them to subscribers.
    /// Cannot be changed later.
    pub reservable: Option<bool>,
    /// The default lease, for reservations that specify none. Whole seconds.
    pub message_timeout: Option<Duration>,
    /// How long messages are retained. Whole seconds.
    pub message_expiration: Option<Duration>,
    /// The server-side dead-letter rule. ivy never sets one, because the server records no reason.
    pub dead_letter: Option<DeadLetterSetting>,
}

/// A server-side dead-letter rule. In a request to the [`broker`](crate::broker), a rule without
/// queue and count removes the rule, and a rule with only one of them changes that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterSetting {
    /// The queue that messages are moved to.
    pub queue: Option<QueueName>,
    /// The number of reservations after which a message is moved, 1 to 1000. Default of a new rule:
    /// ten.
    pub max_reservations: Option<u32>,
}

/// What a queue backend reports about a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// The queue's name.
    pub name: QueueName,
    /// Its settings.
    pub settings: QueueSettings,
    /// The current number of messages, including reserved and delayed ones.
    pub size: Option<u64>,
    /// The number of messages ever posted.
    pub total_messages: Option<u64>,
    /// What the server's clock showed when it replied, as the time since 1970-01-01T00:00:00Z: to
    /// the second on some servers. `None` if the server does not report it.
    pub server_time: Option<Duration>,
}

impl QueueInfo {
    /// An info that contains only the name.
    #[must_use]
    pub fn new(name: QueueName) -> Self {
        let (size, total_messages, server_time) = (None, None, None);
        QueueInfo { name, settings: QueueSettings::default(), size, total_messages, server_time }
    }
}
