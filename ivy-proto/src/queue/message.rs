//! Messages of a queue: a body that is opaque text, and the reservation.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::id::{MessageId, Receipt};

/// The text of a message. Cheap to clone; `Debug` shows only the length.
///
/// Another program may have posted bytes that are not a text. They are kept, so that an operator can
/// move or export them.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Content);

#[derive(Clone, PartialEq, Eq)]
enum Content {
    Text(Arc<str>),
    Bytes(Arc<NotUtf8>),
}

#[derive(PartialEq, Eq)]
struct NotUtf8 {
    bytes: Vec<u8>,
    /// The bytes as far as they are a text.
    text: String,
}

impl Body {
    /// A body with this text.
    #[must_use]
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Body(Content::Text(text.into()))
    }

    /// A body with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Body::new(text),
            Err(error) => {
                let bytes = error.into_bytes();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Body(Content::Bytes(Arc::new(NotUtf8 { bytes, text })))
            }
        }
    }

    /// The body's text. In bytes that are not UTF-8, the invalid ones are replaced by `\u{fffd}`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Content::Text(text) => text,
            Content::Bytes(content) => &content.text,
        }
    }

    /// The body's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Content::Text(text) => text.as_bytes(),
            Content::Bytes(content) => &content.bytes,
        }
    }

    /// Whether the bytes are a text in UTF-8.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self.0, Content::Text(_))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.as_bytes().len())
    }
}

/// A message to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// The message body.
    pub body: Body,
    /// How long the message stays invisible after it was posted. Rounded up by queues that count
    /// whole seconds.
    pub delay: Duration,
}

/// A body as the queue returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceivedBody {
    /// A text, as expected.
    Text(Body),
    /// Bytes that are not UTF-8; or another JSON value than a text, or a text that is not Unicode, in
    /// its original form.
    NotText(Body),
    /// The body was missing or `null`.
    Missing,
    /// The body is larger than the backend returns. Only from a dead-letter queue: workers would lose
    /// the body, so from other queues a backend returns no such message.
    TooLarge,
}

impl From<Body> for ReceivedBody {
    fn from(body: Body) -> Self {
        if body.is_text() { ReceivedBody::Text(body) } else { ReceivedBody::NotText(body) }
    }
}

/// A message that is reserved until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedMessage {
    /// The proof of the reservation.
    pub receipt: Receipt,
    /// The message body.
    pub body: ReceivedBody,
    /// How often the message was delivered, as far as the queue reports it.
    pub deliveries: DeliveryCount,
}

/// What a queue reports about the deliveries of a message.
///
/// A delivery ends in one of three ways: its handler ended; the message was released deliberately,
/// for example by a drain; or it was *lost*, because its worker crashed or its lease ended. Only
/// lost deliveries indicate a task that crashes its workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryCount {
    /// The queue counts how earlier deliveries ended. Renewals and deliberate releases are not
    /// counted. Only such a queue allows to retry a failed task by
    /// [releasing](super::Retry::Release) its message.
    Exact {
        /// The number of failed attempts, as reported by
        /// [`QueueOp::Release`](super::QueueOp::Release).
        failed: u32,
        /// The number of lost deliveries.
        lost: u32,
    },
    /// The queue counts deliveries, including this one, and also renewals or releases.
    UpperBound(NonZeroU32),
    /// The queue reports only whether there was an earlier delivery, however it ended. A task
    /// without retries, whose message is never replaced, then never counts as one that crashes its
    /// workers.
    Redelivered(bool),
    /// The queue reports nothing.
    Unknown,
}

impl DeliveryCount {
    /// The first delivery, on a queue that counts more than deliveries.
    pub(crate) const FIRST: DeliveryCount = DeliveryCount::UpperBound(NonZeroU32::MIN);

    /// The count of a queue that counts more than deliveries. Unknown if it is missing, or zero
    /// although the message is being delivered.
    #[must_use]
    pub fn from_reserved_count(count: Option<u32>) -> Self {
        count.and_then(NonZeroU32::new).map_or(DeliveryCount::Unknown, DeliveryCount::UpperBound)
    }

    /// An upper bound of the deliveries, including this one, if known.
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

/// A message that was peeked at without reserving it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeekedMessage {
    /// The message's id.
    pub id: MessageId,
    /// The message body.
    pub body: ReceivedBody,
    /// The number of reservations so far, if the queue reports it.
    pub reserved_count: Option<u32>,
}
