//! Messages as a queue carries them: a body that is opaque text, and how it is held.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{MessageId, Receipt};

/// The text of a message. Cheap to clone; its `Debug` shows the length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Arc<str>);

impl Body {
    /// A body with this text.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Body(text.into())
    }

    /// The body's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

/// A message to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// What it says.
    pub body: Body,
    /// How long it stays invisible after it was posted. Rounded up where the queue counts in whole seconds.
    pub delay: Duration,
}

/// A body as it came from the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceivedBody {
    /// A text, as it should be.
    Text(Body),
    /// Something else, kept as it was written: another JSON value, or a text that is not Unicode.
    NotText(Body),
    /// There was none, or `null`.
    Missing,
}

/// A message that is reserved for us until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedMessage {
    /// Proves the reservation.
    pub receipt: Receipt,
    /// What it says.
    pub body: ReceivedBody,
    /// What the queue knows of its deliveries.
    pub deliveries: DeliveryCount,
}

/// What a queue knows of the deliveries of a message.
///
/// A delivery ends in one of three ways: its handler ended; or the message was released on purpose,
/// by a drain for instance; or it was *lost*, since its worker crashed or its lease ended. Only lost
/// deliveries say that a task may crash its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryCount {
    /// The queue counts how earlier deliveries ended. Neither renewals nor releases on purpose are
    /// counted. Only on such a queue can a failed task be retried by
    /// [releasing](super::Retry::Release) its message.
    Exact {
        /// How many ended with a failed attempt: [`QueueOp::Release`](super::QueueOp::Release) said so.
        failed: u32,
        /// How many were lost.
        lost: u32,
    },
    /// The queue counts deliveries, this one included, together with what is none: each renewal, or
    /// each release.
    UpperBound(NonZeroU32),
    /// The queue tells only whether there was an earlier delivery, however it ended. A task that allows
    /// no retries, whose message is never replaced, is then never taken to crash its workers.
    Redelivered(bool),
    /// The queue does not say.
    Unknown,
}

impl DeliveryCount {
    /// The first delivery, on a queue that counts more than deliveries.
    pub(crate) const FIRST: DeliveryCount = DeliveryCount::UpperBound(NonZeroU32::MIN);

    /// The count of a queue that counts more than deliveries. Without one, or if it is zero although
    /// the message is delivered right now, nothing is known.
    #[must_use]
    pub fn from_reserved_count(count: Option<u32>) -> Self {
        count.and_then(NonZeroU32::new).map_or(DeliveryCount::Unknown, DeliveryCount::UpperBound)
    }

    /// The most deliveries that there can have been, this one included, if anything is known.
    #[must_use]
    pub fn upper_bound(self) -> Option<u32> {
        match self {
            DeliveryCount::Exact { failed, lost } => {
                Some(failed.saturating_add(lost).saturating_add(1))
            }
            DeliveryCount::UpperBound(count) => Some(count.get()),
            DeliveryCount::Redelivered(false) => Some(1),
            DeliveryCount::Redelivered(true) | DeliveryCount::Unknown => None,
        }
    }
}

/// A message that was looked at without being reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeekedMessage {
    /// The message's id.
    pub id: MessageId,
    /// What it says.
    pub body: ReceivedBody,
    /// How often it was reserved so far, if the queue tells.
    pub reserved_count: Option<u32>,
}
