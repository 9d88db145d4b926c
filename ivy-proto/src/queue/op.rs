//! What can be asked of a queue.

use std::time::Duration;

use crate::id::{MessageId, Receipt};
use crate::name::QueueName;

use super::message::NewMessage;

/// How much longer than its own waiting time a request may take.
const REQUEST_GRACE: Duration = Duration::from_secs(10);

/// A request to a queue backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueOp {
    /// Put messages on a queue, creating it if it is missing. Answer: [`QueueReply::Posted`](super::QueueReply::Posted).
    Post {
        /// The queue.
        queue: QueueName,
        /// The messages, in order.
        messages: Batch<NewMessage>,
    },
    /// Take messages for the time of a lease. Answer: [`QueueReply::Reserved`](super::QueueReply::Reserved).
    Reserve {
        /// The queue.
        queue: QueueName,
        /// The most messages to take.
        count: usize,
        /// How long they are ours. Where leases are those of a
        /// [connection](super::Lease::Connection), it says nothing.
        lease: Duration,
        /// How long to wait while there is none. Zero: do not wait.
        wait: Duration,
    },
    /// Look at one message. Answer: [`QueueReply::Message`](super::QueueReply::Message).
    Get {
        /// The queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// Look at the next messages without reserving them. Answer: [`QueueReply::Peeked`](super::QueueReply::Peeked).
    Peek {
        /// The queue.
        queue: QueueName,
        /// The most messages to look at.
        count: usize,
    },
    /// Delete one reserved message. Answer: [`QueueReply::Deleted`](super::QueueReply::Deleted).
    Delete {
        /// The queue.
        queue: QueueName,
        /// The message and its reservation.
        receipt: Receipt,
    },
    /// Delete several reserved messages. Answer: [`QueueReply::Deleted`](super::QueueReply::Deleted).
    DeleteMany {
        /// The queue.
        queue: QueueName,
        /// The messages and their reservations. Never empty: some servers clear the queue then.
        receipts: Batch<Receipt>,
    },
    /// Renew a lease. Answer: [`QueueReply::Touched`](super::QueueReply::Touched).
    Touch {
        /// The queue.
        queue: QueueName,
        /// The message and its reservation.
        receipt: Receipt,
        /// How long it is ours from now on.
        lease: Duration,
    },
    /// Give a message back. Answer: [`QueueReply::Released`](super::QueueReply::Released).
    Release {
        /// The queue.
        queue: QueueName,
        /// The message and its reservation.
        receipt: Receipt,
        /// How long it stays invisible. Rounded up where the queue counts in whole seconds.
        delay: Duration,
        /// Whether an attempt of its task has failed. Counted where the queue's counts are
        /// [exact](super::DeliveryCount::Exact).
        failed: bool,
    },
    /// Delete all messages of a queue, reserved ones included. Answer: [`QueueReply::Cleared`](super::QueueReply::Cleared).
    Clear {
        /// The queue.
        queue: QueueName,
    },
    /// Ask for a queue's settings and sizes. Answer: [`QueueReply::Queue`](super::QueueReply::Queue).
    GetQueue {
        /// The queue.
        queue: QueueName,
    },
    /// Create a queue with the server's own settings, unless it exists. Answer:
    /// [`QueueReply::Queue`](super::QueueReply::Queue).
    CreateQueue {
        /// The queue.
        queue: QueueName,
    },
    /// Delete a queue with all its messages. Answer: [`QueueReply::QueueDeleted`](super::QueueReply::QueueDeleted).
    DeleteQueue {
        /// The queue.
        queue: QueueName,
    },
    /// List queues by name. Answer: [`QueueReply::Queues`](super::QueueReply::Queues).
    ListQueues {
        /// Only queues whose names begin so. Empty: all.
        prefix: String,
        /// Only queues whose names come after this one.
        after: Option<QueueName>,
        /// The most names, 1 to 100.
        count: usize,
    },
}

impl QueueOp {
    /// The queue that the request is about, if it is about one.
    #[must_use]
    pub fn queue(&self) -> Option<&QueueName> {
        match self {
            QueueOp::Post { queue, .. }
            | QueueOp::Reserve { queue, .. }
            | QueueOp::Get { queue, .. }
            | QueueOp::Peek { queue, .. }
            | QueueOp::Delete { queue, .. }
            | QueueOp::DeleteMany { queue, .. }
            | QueueOp::Touch { queue, .. }
            | QueueOp::Release { queue, .. }
            | QueueOp::Clear { queue }
            | QueueOp::GetQueue { queue }
            | QueueOp::CreateQueue { queue }
            | QueueOp::DeleteQueue { queue } => Some(queue),
            QueueOp::ListQueues { .. } => None,
        }
    }

    /// What it asks a queue to do, as a verb and its object.
    pub(super) fn what(&self) -> &'static str {
        match self {
            QueueOp::Post { .. } => "post messages",
            QueueOp::Reserve { .. } => "reserve messages",
            QueueOp::Get { .. } => "show a message by its id",
            QueueOp::Peek { .. } => "show its next messages",
            QueueOp::Delete { .. } => "delete a message",
            QueueOp::DeleteMany { .. } => "delete several messages",
            QueueOp::Touch { .. } => "renew a lease",
            QueueOp::Release { .. } => "release a message",
            QueueOp::Clear { .. } => "delete all its messages",
            QueueOp::GetQueue { .. } => "show its settings and sizes",
            QueueOp::CreateQueue { .. } => "be created on request",
            QueueOp::DeleteQueue { .. } => "be deleted",
            QueueOp::ListQueues { .. } => "list queues",
        }
    }

    /// How long a driver lets the whole request take, connecting and reading included, before it
    /// gives up with [`FaultKind::AnswerLost`](super::FaultKind::AnswerLost).
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        match self {
            QueueOp::Reserve { wait, .. } => wait.saturating_add(REQUEST_GRACE),
            _ => REQUEST_GRACE,
        }
    }
}

/// One or more things that travel in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<T>(Vec<T>);

impl<T> Batch<T> {
    /// A batch of these, or nothing if there are none.
    #[must_use]
    pub fn new(items: Vec<T>) -> Option<Self> {
        if items.is_empty() { None } else { Some(Batch(items)) }
    }

    /// A batch of one.
    #[must_use]
    pub fn one(item: T) -> Self {
        Batch(vec![item])
    }

    /// What is in it, in order.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.0
    }

    /// What is in it, in order.
    #[must_use]
    pub fn into_items(self) -> Vec<T> {
        self.0
    }
}
