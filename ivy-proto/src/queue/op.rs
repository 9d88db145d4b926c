//! Operations of a queue.

use std::time::Duration;

use crate::id::{MessageId, Receipt};
use crate::name::QueueName;

use super::message::NewMessage;
use super::settings::QueueSettings;

/// How much longer than its own wait a request may take.
const REQUEST_GRACE: Duration = Duration::from_secs(10);

/// A request to a queue backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueOp {
    /// Put messages on a queue, creating it if it is missing. Reply:
    /// [`QueueReply::Posted`](super::QueueReply::Posted).
    Post {
        /// The queue.
        queue: QueueName,
        /// The messages, in order.
        messages: Batch<NewMessage>,
    },
    /// Reserve messages. Reply: [`QueueReply::Reserved`](super::QueueReply::Reserved).
    Reserve {
        /// The queue.
        queue: QueueName,
        /// The maximum number of messages.
        count: usize,
        /// The lease. Ignored if leases are bound to a [connection](super::Lease::Connection).
        lease: Duration,
        /// How long to wait if there is no message. Zero: do not wait.
        wait: Duration,
    },
    /// Peek at one message. Reply: [`QueueReply::Message`](super::QueueReply::Message).
    Get {
        /// The queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// Peek at the next messages without reserving them. Reply:
    /// [`QueueReply::Peeked`](super::QueueReply::Peeked).
    Peek {
        /// The queue.
        queue: QueueName,
        /// The maximum number of messages.
        count: usize,
    },
    /// Delete one reserved message. Reply: [`QueueReply::Deleted`](super::QueueReply::Deleted).
    Delete {
        /// The queue.
        queue: QueueName,
        /// The message and its reservation.
        receipt: Receipt,
    },
    /// Delete several reserved messages. Reply:
    /// [`QueueReply::Deleted`](super::QueueReply::Deleted).
    DeleteMany {
        /// The queue.
        queue: QueueName,
        /// The messages and their reservations. Never empty, because some servers would clear the
        /// queue.
        receipts: Batch<Receipt>,
    },
    /// Renew a lease. Reply: [`QueueReply::Touched`](super::QueueReply::Touched).
    Touch {
        /// The queue.
        queue: QueueName,
        /// The message and its reservation.
        receipt: Receipt,
        /// The new lease, from now on.
        lease: Duration,
    },
    /// Release a message. Reply: [`QueueReply::Released`](super::QueueReply::Released).
    Release {
        /// The queue.
        queue: QueueName,
        /// The message and its reservation.
        receipt: Receipt,
        /// How long it stays invisible. Rounded up by queues that count whole seconds.
        delay: Duration,
        /// Whether an attempt of its task failed. Counted if the queue's counts are
        /// [exact](super::DeliveryCount::Exact).
        failed: bool,
    },
    /// Delete all messages of a queue, including reserved ones. Reply:
    /// [`QueueReply::Cleared`](super::QueueReply::Cleared).
    Clear {
        /// The queue.
        queue: QueueName,
    },
    /// Return a queue's settings and sizes. Reply: [`QueueReply::Queue`](super::QueueReply::Queue).
    GetQueue {
        /// The queue.
        queue: QueueName,
    },
    /// Create a queue with the server's own settings, unless it exists. Reply:
    /// [`QueueReply::Queue`](super::QueueReply::Queue).
    CreateQueue {
        /// The queue.
        queue: QueueName,
    },
    /// Change these settings of a queue. Reply: [`QueueReply::Queue`](super::QueueReply::Queue).
    UpdateQueue {
        /// The queue.
        queue: QueueName,
        /// The settings. Those that are not specified stay as they are.
        settings: QueueSettings,
    },
    /// Delete a queue with all its messages. Reply:
    /// [`QueueReply::QueueDeleted`](super::QueueReply::QueueDeleted).
    DeleteQueue {
        /// The queue.
        queue: QueueName,
    },
    /// List queues by name. Reply: [`QueueReply::Queues`](super::QueueReply::Queues).
    ListQueues {
        /// Only queues whose names have this prefix. Empty: all.
        prefix: String,
        /// Only queues whose names sort after this one.
        after: Option<QueueName>,
        /// The maximum number of names, 1 to 100.
        count: usize,
    },
}

impl QueueOp {
    /// The queue of the operation, if it concerns one.
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
            | QueueOp::UpdateQueue { queue, .. }
            | QueueOp::DeleteQueue { queue } => Some(queue),
            QueueOp::ListQueues { .. } => None,
        }
    }

    /// The operation as a verb and its object.
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
            QueueOp::UpdateQueue { .. } => "have its settings changed",
            QueueOp::DeleteQueue { .. } => "be deleted",
            QueueOp::ListQueues { .. } => "list queues",
        }
    }

    /// The time limit of the whole request, including connecting and reading. After it, the driver
    /// fails the operation with [`FaultKind::ReplyLost`](super::FaultKind::ReplyLost).
    #[must_use]
    pub fn time_limit(&self) -> Duration {
        match self {
            QueueOp::Reserve { wait, .. } => wait.saturating_add(REQUEST_GRACE),
            _ => REQUEST_GRACE,
        }
    }
}

/// One or more items of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<T>(Vec<T>);

impl<T> Batch<T> {
    /// A batch of these items, or `None` if there are none.
    #[must_use]
    pub fn new(items: Vec<T>) -> Option<Self> {
        if items.is_empty() { None } else { Some(Batch(items)) }
    }

    /// A batch of one item.
    #[must_use]
    pub fn one(item: T) -> Self {
        Batch(vec![item])
    }

    /// The items, in order.
    #[must_use]
    pub fn items(&self) -> &[T] {
        &self.0
    }

    /// The items, in order.
    #[must_use]
    pub fn into_items(self) -> Vec<T> {
        self.0
    }
}
