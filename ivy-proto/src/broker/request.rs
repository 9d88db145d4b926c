//! What can be asked of the broker, and what it answers.
//!
//! Richer than [`QueueOp`](crate::queue::QueueOp): a server must be able to hear what a careful
//! client never says, such as a delete without a reservation.

use std::time::Duration;

use crate::id::{MessageId, Receipt, ReservationId};
use crate::name::QueueName;
use crate::queue::{Body, NewMessage, QueueInfo, QueueSettings};

/// A request to the broker. What is `None` was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Create a queue, or merge these settings into an existing one.
    PutQueue {
        /// The queue.
        queue: QueueName,
        /// Its settings.
        settings: QueueSettings,
    },
    /// Merge these settings into an existing queue. Creates a missing one, unless the broker is
    /// [strict](super::BrokerConfig::strict).
    PatchQueue {
        /// The queue.
        queue: QueueName,
        /// What is to change.
        settings: QueueSettings,
    },
    /// Tell a queue's settings and sizes.
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
        /// Only names that begin so.
        prefix: String,
        /// Only names after this text. Empty: from the start.
        previous: String,
        /// The most names: 1 to 100, and what is beyond that counts as the nearest of them.
        per_page: usize,
    },
    /// Put messages on a queue, creating it if it is missing.
    Post {
        /// The queue.
        queue: QueueName,
        /// The messages, in order: 1 to 100, each delayed for at most 604,800 seconds.
        messages: Vec<NewMessage>,
    },
    /// Put messages on a queue as [`Post`](Request::Post) does, each that can be, whatever becomes of
    /// the others.
    PostEach {
        /// The queue.
        queue: QueueName,
        /// The messages, in order: 1 to 100.
        messages: Vec<NewMessage>,
    },
    /// Take messages for the time of a lease.
    Reserve {
        /// The queue.
        queue: QueueName,
        /// The most messages, up to 100. Zero counts as not given: one.
        count: usize,
        /// The lease, up to a day; else the queue's `message_timeout`. Zero counts as not given.
        timeout: Option<Duration>,
        /// How long to wait while no message is ready, up to 30 seconds.
        wait: Duration,
        /// Delete the messages at once instead of leasing them.
        delete: bool,
    },
    /// Look at one message, in whatever state.
    GetMessage {
        /// The queue.
        queue: QueueName,
        /// The message.
        message: MessageId,
    },
    /// Look at the next ready messages.
    Peek {
        /// The queue.
        queue: QueueName,
        /// The most messages, up to 100. Zero counts as not given: one.
        count: usize,
    },
    /// Delete a message: with its reservation if it is reserved, else without one.
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
        /// The messages: 1 to 100. The first one that cannot be deleted decides the refusal.
        targets: Vec<Target>,
    },
    /// Delete several messages, each that can be deleted, whatever becomes of the others.
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
        /// The new lease, from now on, up to a day; else the queue's `message_timeout`. Zero counts
        /// as not given.
        timeout: Option<Duration>,
    },
    /// Give a message back, to the place that it had.
    Release {
        /// The queue.
        queue: QueueName,
        /// The message.
        target: Target,
        /// How long it stays invisible, up to 604,800 seconds.
        delay: Duration,
        /// Whether an attempt has failed, which is counted apart.
        failed: bool,
    },
}

impl Request {
    /// The queue that the request is about, if it is about one.
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

/// A message that a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The message.
    pub message: MessageId,
    /// The reservation that the asker claims to hold.
    pub reservation: Option<ReservationId>,
}

/// The broker's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// The messages are on the queue, under these ids.
    Posted(Vec<MessageId>),
    /// What became of each message, in the order of the request.
    PostedEach(Vec<Result<MessageId, Refusal>>),
    /// These messages were reserved, or with `delete` taken off the queue.
    Reserved(Vec<Delivery>),
    /// The message.
    Message(MessageView),
    /// The next ready messages.
    Peeked(Vec<MessageView>),
    /// The messages are deleted.
    Deleted,
    /// What became of each message, in the order of the request.
    DeletedEach(Vec<Result<(), Refusal>>),
    /// All messages are deleted.
    Cleared,
    /// The reservation is renewed; this receipt replaces the old one.
    Touched(Receipt),
    /// The message was given back.
    Released,
    /// The queue's settings and sizes.
    Queue(QueueInfo),
    /// The queue is deleted.
    QueueDeleted,
    /// Names of queues.
    Queues(Vec<QueueName>),
}

/// A message handed out by a reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The message.
    pub message: MessageId,
    /// The reservation that now holds it.
    pub reservation: ReservationId,
    /// What it says.
    pub body: Body,
    /// How often it was reserved or touched, this time included.
    pub reserved_count: u32,
    /// How often it was released with a failed attempt.
    pub failed: u32,
    /// How often its lease ended.
    pub lost: u32,
}

/// A message that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageView {
    /// The message.
    pub message: MessageId,
    /// What it says.
    pub body: Body,
    /// How often it was reserved or touched so far.
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
    /// The message is reserved, and the request names no reservation.
    #[error("A reservation_id is required")]
    ReservationRequired,
    /// The named reservation is not the one that holds the message now.
    #[error("Reservation timed out")]
    ReservationTimedOut,
    /// Whether an existing queue lets its messages be reserved cannot be changed.
    #[error("Queue type cannot be changed")]
    KindIsFixed,
    /// A value is out of its range, or does not fit the queue's kind.
    #[error("{0}")]
    Invalid(&'static str),
    /// A message is larger than the broker accepts.
    #[error("Message is too large")]
    TooLarge,
}

/// Names a request, so that its answer finds the way back to the asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What can happen to the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// Somebody asks.
    Request(RequestId, Request),
    /// The asker has gone: if its request still waits, do not answer it any more. What was reserved
    /// for it already stays reserved.
    Abandon(RequestId),
}

/// What the broker wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Answer this request.
    Response(RequestId, Result<Response, Refusal>),
    /// Nothing is left to be done before this deadline or the next input.
    Wait(Option<crate::time::Deadline<Timer>>),
}

/// When the broker wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Timer {
    /// When a reservation ends.
    LeaseEnds,
    /// When a delayed message becomes ready.
    DelayEnds,
    /// When a message is thrown away because of its age.
    MessageExpires,
    /// When a waiting reserve is answered empty.
    WaitEnds,
}
