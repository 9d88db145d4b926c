//! Messages as a queue carries them: a body that is opaque text, and how it is held.

use std::fmt;
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
    /// How long it stays invisible after it was posted. Whole seconds on IronMQ, rounded up.
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
    /// How often it was reserved, this time included, if the queue tells.
    pub reserved_count: Option<u32>,
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
