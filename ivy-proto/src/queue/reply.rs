//! Replies of a queue.

use crate::id::{MessageId, Receipt};
use crate::name::QueueName;

use super::fault::Fault;
use super::message::{PeekedMessage, ReceivedBody, ReservedMessage};
use super::op::QueueOp;
use super::settings::QueueInfo;

/// A queue backend's reply to a [`QueueOp`](super::QueueOp).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueReply {
    /// The outcome of each message, in the order of the request: its id on the queue, or why it was
    /// not posted. A message that the server's response omits may have been posted: its fault has
    /// the effect [`Unknown`](super::Effect::Unknown).
    Posted(Vec<Result<MessageId, Fault>>),
    /// The reserved messages.
    Reserved(Reserved),
    /// The requested message.
    Message(PeekedMessage),
    /// The next messages.
    Peeked(Vec<PeekedMessage>),
    /// The outcome of each message, in the order of the request. A message that the server's
    /// response omits may have been deleted: its fault has the effect
    /// [`Unknown`](super::Effect::Unknown).
    Deleted(Vec<Result<(), Fault>>),
    /// The lease was renewed; this receipt replaces the old one, which is invalid now.
    Touched(Receipt),
    /// The message was released.
    Released,
    /// The queue is empty.
    Cleared,
    /// The queue's settings and, if the backend reports them, its sizes.
    Queue(Box<QueueInfo>),
    /// The queue was deleted.
    QueueDeleted,
    /// Names of queues, in ascending order.
    Queues(Vec<QueueName>),
}

impl QueueReply {
    /// The reply that all messages of a [`QueueOp::Post`](super::QueueOp::Post) were posted, with
    /// these ids.
    #[must_use]
    pub fn all_posted(ids: impl IntoIterator<Item = MessageId>) -> Self {
        QueueReply::Posted(ids.into_iter().map(Ok).collect())
    }

    /// The reply that all `count` messages of a [`QueueOp::DeleteMany`](super::QueueOp::DeleteMany)
    /// were deleted.
    #[must_use]
    pub fn all_deleted(count: usize) -> Self {
        QueueReply::Deleted(vec![Ok(()); count])
    }
}

/// Whether a reply is of the kind that an operation expects.
pub type ReplyCheck = fn(&QueueReply) -> bool;

impl QueueReply {
    /// Returns the check whether a reply is of the kind that this operation expects. A backend that
    /// returns another kind must not be trusted.
    #[must_use]
    pub fn of(op: &QueueOp) -> ReplyCheck {
        match op {
            QueueOp::Post { .. } => |reply| matches!(reply, QueueReply::Posted(_)),
            QueueOp::Reserve { .. } => |reply| matches!(reply, QueueReply::Reserved(_)),
            QueueOp::Get { .. } => |reply| matches!(reply, QueueReply::Message(_)),
            QueueOp::Peek { .. } => |reply| matches!(reply, QueueReply::Peeked(_)),
            QueueOp::Delete { .. } | QueueOp::DeleteMany { .. } => {
                |reply| matches!(reply, QueueReply::Deleted(_))
            }
            QueueOp::Touch { .. } => |reply| matches!(reply, QueueReply::Touched(_)),
            QueueOp::Release { .. } => |reply| matches!(reply, QueueReply::Released),
            QueueOp::Clear { .. } => |reply| matches!(reply, QueueReply::Cleared),
            QueueOp::GetQueue { .. }
            | QueueOp::CreateQueue { .. }
            | QueueOp::UpdateQueue { .. } => |reply| matches!(reply, QueueReply::Queue(_)),
            QueueOp::DeleteQueue { .. } => |reply| matches!(reply, QueueReply::QueueDeleted),
            QueueOp::ListQueues { .. } => |reply| matches!(reply, QueueReply::Queues(_)),
        }
    }
}

/// The result of a reserve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// The messages.
    pub messages: Vec<ReservedMessage>,
    /// The number of entries that cannot be handled: they have no id or reservation, are not
    /// messages, or, in a queue of tasks, are too large. The backend moves them to the dead-letter queue, or they return to
    /// the queue when their leases end.
    pub unusable: usize,
}

impl Reserved {
    /// The total length of the messages' bodies, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bytes = |message: &ReservedMessage| match &message.body {
            ReceivedBody::Text(body) | ReceivedBody::NotText(body) => body.as_bytes().len(),
            ReceivedBody::Missing | ReceivedBody::TooLarge => 0,
        };
        self.messages.iter().map(bytes).sum()
    }
}
