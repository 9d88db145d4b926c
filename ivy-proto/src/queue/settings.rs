//! Settings and sizes of a queue.

use std::time::Duration;

use crate::name::QueueName;

/// Settings of a queue; what is `None` is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueSettings {
    /// Whether its messages can be reserved. Not where the server itself delivers them to
    /// subscribers. Cannot be changed later.
    pub reservable: Option<bool>,
    /// The lease of reservations that name none. Whole seconds.
    pub message_timeout: Option<Duration>,
    /// How long messages are kept. Whole seconds.
    pub message_expiration: Option<Duration>,
    /// Where the queue itself moves messages that were reserved too often. ivy never sets it: the
    /// server would move them without a reason.
    pub dead_letter: Option<DeadLetterSetting>,
}

/// A server-side dead-letter rule. In a request to the [`broker`](crate::broker), one without a queue
/// and without a number switches the rule off; one with only one of them changes that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterSetting {
    /// Where messages go.
    pub queue: Option<QueueName>,
    /// After how many reservations, 1 to 1000; 10 where a new rule does not say.
    pub max_reservations: Option<u32>,
}

/// What a queue backend tells of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// The queue's name.
    pub name: QueueName,
    /// Its settings.
    pub settings: QueueSettings,
    /// Messages on it now, reserved and delayed ones included.
    pub size: Option<u64>,
    /// Messages ever posted to it.
    pub total_messages: Option<u64>,
}

impl QueueInfo {
    /// What is told of the queue of this name, so far nothing.
    #[must_use]
    pub fn new(name: QueueName) -> Self {
        QueueInfo { name, settings: QueueSettings::default(), size: None, total_messages: None }
    }
}
