//! Requests and responses of the broker.
//!
//! Requests are richer than [`QueueOp`](crate::queue::QueueOp): a server must accept requests that
//! a careful client never sends, such as a delete without a reservation.

use std::time::Duration;

use crate::id::{MessageId, Receipt, ReservationId};
use crate::name::QueueName;
use crate::queue::{Body, NewMessage, QueueInfo, QueueSettings};

/// A request to the broker. `None` means not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Create a queue with these settings, or change the given ones of an existing queue.
    PutQueue {
        /// The queue.
        queue: QueueName,
        /// Its settings.
        settings: QueueSettings,
    },
    /// Change the given settings of an existing queue. Creates a missing one, unless the broker is
    /// [strict](super::BrokerConfig::strict).
    PatchQueue {
        /// The queue.
        queue: QueueName,
        /// The settings to change.
        settings: QueueSettings,
    },
    /// Return a queue's settings and sizes.
    GetQueue {
        /// The queue.
        queue: QueueName,
    },
    /// Delete a queue and its messages.
    DeleteQueue {
        /// The queue.
        queue: QueueName,
    },
    /// List queues in ascending order of their names.
    ListQueues {
        /// Only names with this prefix.
        prefix: String,
        /// Only names after this text. Empty: from the beginning.
        previous: String,
        /// The maximum number of names, clamped to 1 to 100.
        per_page: usize,
    },
    /// Put messages on a queue, creating it if it is missing.
    Post {
        /// The queue.
        queue: QueueName,
        /// The messages, in order: 1 to 100, each with a delay of at most 604,800 seconds.
        messages: Vec<NewMessage>,
    },
    /// Like [`Post`](Request::Post), but posts each valid message even if others are refused.
    PostEach {
        /// The queue.
        queue: QueueName,
        /// The messages, in order: 1 to 100.
        messages: Vec<NewMessage>,
    },
    /// Reserve messages.
    Reserve {
        /// The queue.
        queue: QueueName,
        /// The maximum number of messages, up to 100. Zero means the default: one.
        count: usize,
        /// The lease, up to a day. Default: the queue's `message_timeout`. Zero means the default.
        timeout: Option<Duration>,
        /// How long to wait while no message is ready, up to 30 seconds.
        wait: Duration,
        /// Delete the messages immediately instead of leasing them.
        delete: bool,
    },
    /// Return one message, in any state.
    GetMessage {
        /// The queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// Return the next ready messages.
    Peek {
        /// The queue.
        queue: QueueName,
        /// The maximum number of messages, up to 100. Zero means the default: one.
        count: usize,
    },
    /// Delete a message: with its reservation if it is reserved, without one otherwise.
    Delete {
        /// The queue.
        queue: QueueName,
        /// The message.
        target: Target,
    },
    /// Delete several messages: all, or none if one of them cannot be deleted.
    DeleteMany {
        /// The queue.
        queue: QueueName,
        /// The messages: 1 to 100. The first one that cannot be deleted determines the refusal.
        targets: Vec<Target>,
    },
    /// Delete several messages: each that can be deleted, even if others cannot.
    DeleteEach {
        /// The queue.
        queue: QueueName,
        /// The messages: 1 to 100.
        targets: Vec<Target>,
    },
    /// Delete all messages of a queue.
    Clear {
        /// The queue.
        queue: QueueName,
    },
    /// Renew a reservation.
    Touch {
        /// The queue.
        queue: QueueName,
        /// The message.
        target: Target,
        /// The new lease, from now on, up to a day. Default: the queue's `message_timeout`. Zero
        /// means the default.
        timeout: Option<Duration>,
    },
    /// Release a message to its old position.
    Release {
        /// The queue.
        queue: QueueName,
        /// The message.
        target: Target,
        /// How long it stays invisible, up to 604,800 seconds.
        delay: Duration,
        /// Whether the release counts as a failed attempt ([`Delivery::failed`]).
        failed: bool,
    },
}

impl Request {
    /// The queue of the request, if it concerns one.
    #[must_use]
    pub fn queue(&self) -> Option<&QueueName> {
        match self {
            Request::PutQueue { queue, .. }
            | Request::PatchQueue { queue, .. }
            | Request::GetQueue { queue }
            | Request::DeleteQueue { queue }
            | Request::Post { queue, .. }
            | Request::PostEach { queue, .. }
            | Request::Reserve { queue, .. }
            | Request::GetMessage { queue, .. }
            | Request::Peek { queue, .. }
            | Request::Delete { queue, .. }
            | Request::DeleteMany { queue, .. }
            | Request::DeleteEach { queue, .. }
            | Request::Clear { queue }
            | Request::Touch { queue, .. }
            | Request::Release { queue, .. } => Some(queue),
            Request::ListQueues { .. } => None,
        }
    }
}

/// The message that a request refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The message.
    pub message: MessageId,
    /// The reservation that the client claims to hold.
    pub reservation: Option<ReservationId>,
}

/// A response of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The ids of the posted messages.
    Posted(Vec<MessageId>),
    /// The outcome of each message, in the order of the request.
    PostedEach(Vec<Result<MessageId, Refusal>>),
    /// The messages that were reserved or, with `delete`, deleted.
    Reserved(Vec<Delivery>),
    /// The message.
    Message(MessageView),
    /// The next ready messages.
    Peeked(Vec<MessageView>),
    /// The messages were deleted.
    Deleted,
    /// The outcome of each message, in the order of the request.
    DeletedEach(Vec<Result<(), Refusal>>),
    /// All messages were deleted.
    Cleared,
    /// The reservation was renewed; this receipt replaces the old one.
    Touched(Receipt),
    /// The message was released.
    Released,
    /// The queue's settings and sizes.
    Queue(QueueInfo),
    /// The queue was deleted.
    QueueDeleted,
    /// Names of queues.
    Queues(Vec<QueueName>),
}

/// A message that a reserve returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The message.
    pub message: MessageId,
    /// The current reservation.
    pub reservation: ReservationId,
    /// The message body.
    pub body: Body,
    /// The number of reservations and touches, including this one.
    pub reserved_count: u32,
    /// The number of releases with a failed attempt.
    pub failed: u32,
    /// The number of deliveries whose lease expired.
    pub lost: u32,
}

/// A message that was returned without reserving it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    /// The message.
    pub message: MessageId,
    /// The message body.
    pub body: Body,
    /// The number of reservations and touches so far.
    pub reserved_count: u32,
}

/// Why the broker refuses a request. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The queue does not exist.
    #[error("Queue not found")]
    QueueNotFound,
    /// The message does not exist.
    #[error("Message not found")]
    MessageNotFound,
    /// The message is reserved, but the request names no reservation.
    #[error("A reservation_id is required")]
    ReservationRequired,
    /// The named reservation is not the current one of the message.
    #[error("Reservation timed out")]
    ReservationTimedOut,
    /// A queue's kind, reservable or not, cannot be changed.
    #[error("Queue type cannot be changed")]
    KindIsFixed,
    /// A value is out of range, or invalid for the queue's kind.
    #[error("{0}")]
    Invalid(&'static str),
    /// A message is larger than the broker accepts.
    #[error("Message is too large")]
    TooLarge,
}

/// Identifies a request, to match its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// An input of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// A client's request.
    Request(RequestId, Request),
    /// The client disconnected: if its request still waits, it gets no response. What it has already
    /// reserved stays reserved.
    Abandon(RequestId),
}

/// An output of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The response to a request.
    Response(RequestId, Result<Response, Refusal>),
    /// Nothing to do before this deadline or the next input.
    Wait(Option<crate::time::Deadline<Timer>>),
}

/// What happens at the deadline of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Timer {
    /// When a lease expires.
    LeaseEnds,
    /// When a delayed message becomes ready.
    DelayEnds,
    /// When a message is removed because of its age.
    MessageExpires,
    /// When a waiting reserve returns empty.
    WaitEnds,
}
