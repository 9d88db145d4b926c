//! What a queue answers.

use crate::id::{MessageId, Receipt};
use crate::name::QueueName;

use super::fault::Fault;
use super::message::{PeekedMessage, ReceivedBody, ReservedMessage};
use super::op::QueueOp;
use super::settings::QueueInfo;

/// A queue backend's answer to a [`QueueOp`](super::QueueOp).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueReply {
    /// What became of each message, in the order of the request: its id on the queue, or why it is
    /// not there. One of which the server says nothing may be there: its fault has the effect
    /// [`Unknown`](super::Effect::Unknown).
    Posted(Vec<Result<MessageId, Fault>>),
    /// These messages are ours for the time of the lease.
    Reserved(Reserved),
    /// The message that was asked for.
    Message(PeekedMessage),
    /// The next messages.
    Peeked(Vec<PeekedMessage>),
    /// What became of each message, in the order of the request: it is deleted, or why not. One of
    /// which the server says nothing may be: its fault has the effect
    /// [`Unknown`](super::Effect::Unknown).
    Deleted(Vec<Result<(), Fault>>),
    /// The lease is renewed; this receipt replaces the old one, which is worthless now.
    Touched(Receipt),
    /// The message is given back.
    Released,
    /// The queue is empty.
    Cleared,
    /// The queue's settings and, where the backend tells, its sizes.
    Queue(QueueInfo),
    /// The queue is deleted.
    QueueDeleted,
    /// Names of queues, in ascending order.
    Queues(Vec<QueueName>),
}

impl QueueReply {
    /// All messages of a [`QueueOp::Post`](super::QueueOp::Post) are on the queue, under these ids.
    #[must_use]
    pub fn all_posted(ids: impl IntoIterator<Item = MessageId>) -> Self {
        QueueReply::Posted(ids.into_iter().map(Ok).collect())
    }

    /// All messages of a [`QueueOp::DeleteMany`](super::QueueOp::DeleteMany), so many, are deleted.
    #[must_use]
    pub fn all_deleted(count: usize) -> Self {
        QueueReply::Deleted(vec![Ok(()); count])
    }
}

/// Whether an answer is of the kind that an operation asks for.
pub type Answers = fn(&QueueReply) -> bool;

impl QueueReply {
    /// What tells whether an answer is of the kind that this operation asks for. A backend is not to be
    /// believed that answers something else.
    #[must_use]
    pub fn of(op: &QueueOp) -> Answers {
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
            QueueOp::GetQueue { .. } | QueueOp::CreateQueue { .. } => {
                |reply| matches!(reply, QueueReply::Queue(_))
            }
            QueueOp::DeleteQueue { .. } => |reply| matches!(reply, QueueReply::QueueDeleted),
            QueueOp::ListQueues { .. } => |reply| matches!(reply, QueueReply::Queues(_)),
        }
    }
}

/// What a reserve brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// The messages.
    pub messages: Vec<ReservedMessage>,
    /// How many entries had no id or no reservation, so that nothing can be done about them. They
    /// return to the queue when their leases end.
    pub unusable: usize,
}

impl Reserved {
    /// How many bytes the messages' bodies have together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let bytes = |message: &ReservedMessage| match &message.body {
            ReceivedBody::Text(body) | ReceivedBody::NotText(body) => body.as_str().len(),
            ReceivedBody::Missing => 0,
        };
        self.messages.iter().map(bytes).sum()
    }
}
