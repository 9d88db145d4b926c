//! The context that a frame is bound to.

use super::key_id::KeyId;
use crate::name::{ChannelName, QueueName};

/// The purpose of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A task's message.
    Task,
    /// A notice.
    Notice,
    /// A dead letter.
    DeadLetter,
    /// What a worker publishes about itself.
    Presence,
}

impl Purpose {
    /// The purpose's name in the authenticated data.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Purpose::Task => "task",
            Purpose::Notice => "note",
            Purpose::DeadLetter => "dead",
            Purpose::Presence => "presence",
        }
    }
}

/// The purpose of a frame, and the one place where it opens. Both are authenticated with the frame
/// without being part of it.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    purpose: Purpose,
    scope: &'a str,
}

impl<'a> Binding<'a> {
    /// A task's message in this physical queue.
    #[must_use]
    pub fn task(queue: &'a QueueName) -> Self {
        Binding { purpose: Purpose::Task, scope: queue.as_str() }
    }

    /// A message that is never sent: of this queue, or of none.
    pub(crate) fn check(queue: Option<&'a QueueName>) -> Self {
        Binding { purpose: Purpose::Task, scope: queue.map_or("", QueueName::as_str) }
    }

    /// A notice on this channel.
    #[must_use]
    pub fn notice(channel: &'a ChannelName) -> Self {
        Binding { purpose: Purpose::Notice, scope: channel.as_str() }
    }

    /// A presence record on this channel.
    #[must_use]
    pub fn presence(channel: &'a ChannelName) -> Self {
        Binding { purpose: Purpose::Presence, scope: channel.as_str() }
    }

    /// A dead letter in this physical dead-letter queue.
    #[must_use]
    pub fn dead_letter(queue: &'a QueueName) -> Self {
        Binding { purpose: Purpose::DeadLetter, scope: queue.as_str() }
    }

    /// The authenticated data: frame kind, key id, purpose and scope, each prefixed by its length,
    /// so that different bindings produce different data.
    pub(super) fn authenticated(&self, kind: &str, key: &KeyId) -> Vec<u8> {
        let parts = [key.as_str(), self.purpose.as_str(), self.scope];
        let length = kind.len() + 1 + parts.iter().map(|part| 2 + part.len()).sum::<usize>();
        let mut data = Vec::with_capacity(length);
        data.extend_from_slice(kind.as_bytes());
        data.push(0);
        for part in parts {
            // All three are names of at most 255 bytes.
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
            data.extend_from_slice(&length.to_be_bytes());
            data.extend_from_slice(part.as_bytes());
        }
        data
    }
}
