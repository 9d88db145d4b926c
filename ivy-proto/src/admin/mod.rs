//! Administration: inspecting, listing and emptying queues, and sweeps of their messages.
//!
//! For each task, one function creates the operation and another one reads its reply. A [`Sweep`]
//! looks through more messages than a peek shows, and requeues, deletes or moves those that match a
//! [`Filter`].
//!
//! ```
//! use ivy_proto::admin::{Listing, clear, cleared};
//! use ivy_proto::queue::{QueueOp, QueueReply};
//! use ivy_proto::Cause;
//!
//! /// Empties all queues of a backend.
//! fn clear_all(mut backend: impl FnMut(QueueOp) -> QueueReply) -> Result<(), Cause> {
//!     let mut listing = Listing::new("");
//!     while let Some(page) = listing.next_page() {
//!         listing.take(backend(page))?;
//!     }
//!     for queue in listing.into_names() {
//!         cleared(backend(clear(queue.as_str())?))?;
//!     }
//!     Ok(())
//! }
//! ```

mod filter;
mod listing;
mod report;
mod requeue;
mod rewrite;
mod same_ids;
mod sweep;

pub use filter::{CountRange, Filter, Glob, InvalidFilter, Period, SearchText};
pub use listing::Listing;
pub use report::{Ended, Problem, ProblemKind, Report, Truncated};
pub use requeue::Requeue;
pub use rewrite::Obstacle;
pub use same_ids::is_numbered;
pub use sweep::{
    Action, CannotSweep, Input, Output, Phase, Plan, Progress, Row, Sweep, SweepConfig, Timer,
};

use crate::error::Cause;
use crate::id::MessageId;
use crate::name::QueueName;
use crate::queue::{
    Fault, FaultKind, PeekedMessage, QueueInfo, QueueOp, QueueReply, QueueSettings, ReceivedBody,
};
use crate::wire::{Codec, Content};

use same_ids::SameIds;

/// The maximum number of messages per peek.
pub const MAX_PEEKED: usize = 100;

/// A peeked message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peeked {
    /// The message's id. Messages of one peek that share an id are numbered: `ID.2` is the second one.
    pub message: MessageId,
    /// The number of reservations so far, if the queue reports it.
    pub reserved_count: Option<u32>,
    /// The message body, as it is in the queue.
    pub body: ReceivedBody,
    /// The content of the body.
    pub content: Content,
}

impl Peeked {
    fn of(message: PeekedMessage, queue: &QueueName, codec: &Codec) -> Self {
        let PeekedMessage { id, body, reserved_count } = message;
        let content = Content::read(&body, queue, codec);
        Peeked { message: id, reserved_count, body, content }
    }
}

/// Creates the request to peek at the next messages of a physical queue, 1 to 100.
///
/// # Errors
/// If the queue name is invalid, or the count is out of range.
pub fn peek(queue: &str, count: usize) -> Result<QueueOp, Cause> {
    let queue = name(queue)?;
    if !(1..=MAX_PEEKED).contains(&count) {
        let text = format!(
            "queue {queue}: the count of messages to peek at must be from 1 to {MAX_PEEKED}, not {count}"
        );
        return Err(Cause::config(text));
    }
    Ok(QueueOp::Peek { queue, count })
}

/// Reads the reply to [`peek`].
///
/// # Errors
/// If the reply is to another operation.
pub fn peeked(reply: QueueReply, queue: &str, codec: &Codec) -> Result<Vec<Peeked>, Cause> {
    let QueueReply::Peeked(messages) = reply else { return Err(unfitting()) };
    let queue = name(queue)?;
    let mut ids = SameIds::default();
    let peeked = |message: PeekedMessage| {
        let id = ids.shown(&message.id);
        Peeked::of(PeekedMessage { id, ..message }, &queue, codec)
    };
    Ok(messages.into_iter().map(peeked).collect())
}

/// Creates the request for one message of a physical queue, which may be reserved or delayed.
///
/// # Errors
/// If the queue name is invalid.
pub fn get(queue: &str, message: &MessageId) -> Result<QueueOp, Cause> {
    Ok(QueueOp::Get { queue: name(queue)?, message: message.clone() })
}

/// Reads the reply to [`get`].
///
/// # Errors
/// If the reply is to another operation.
pub fn got(reply: QueueReply, queue: &str, codec: &Codec) -> Result<Peeked, Cause> {
    let QueueReply::Message(message) = reply else { return Err(unfitting()) };
    Ok(Peeked::of(message, &name(queue)?, codec))
}

/// Creates the request to delete all messages of a physical queue.
///
/// # Errors
/// If the queue name is invalid.
pub fn clear(queue: &str) -> Result<QueueOp, Cause> {
    Ok(QueueOp::Clear { queue: name(queue)? })
}

/// Reads the reply to [`clear`].
///
/// # Errors
/// If the reply is to another operation.
pub fn cleared(reply: QueueReply) -> Result<(), Cause> {
    if matches!(reply, QueueReply::Cleared) { Ok(()) } else { Err(unfitting()) }
}

/// Creates the request for the settings and sizes of a physical queue.
///
/// # Errors
/// If the queue name is invalid.
pub fn info(queue: &str) -> Result<QueueOp, Cause> {
    Ok(QueueOp::GetQueue { queue: name(queue)? })
}

/// Reads the reply to [`info`].
///
/// # Errors
/// If the reply is to another operation.
pub fn informed(reply: QueueReply) -> Result<QueueInfo, Cause> {
    if let QueueReply::Queue(info) = reply { Ok(*info) } else { Err(unfitting()) }
}

/// Creates the request to create a physical queue with the server's own settings, unless it exists.
/// The reply is read by [`informed`].
///
/// # Errors
/// If the queue name is invalid.
pub fn create(queue: &str) -> Result<QueueOp, Cause> {
    Ok(QueueOp::CreateQueue { queue: name(queue)? })
}

/// Creates the request to change these settings of a physical queue. The reply is read by
/// [`informed`].
///
/// # Errors
/// If the queue name is invalid.
pub fn update(queue: &str, settings: QueueSettings) -> Result<QueueOp, Cause> {
    Ok(QueueOp::UpdateQueue { queue: name(queue)?, settings })
}

/// Creates the request to delete a physical queue with all its messages.
///
/// # Errors
/// If the queue name is invalid.
pub fn delete(queue: &str) -> Result<QueueOp, Cause> {
    Ok(QueueOp::DeleteQueue { queue: name(queue)? })
}

/// Reads the reply to [`delete`].
///
/// # Errors
/// If the reply is to another operation.
pub fn deleted(reply: QueueReply) -> Result<(), Cause> {
    if matches!(reply, QueueReply::QueueDeleted) { Ok(()) } else { Err(unfitting()) }
}

fn name(queue: &str) -> Result<QueueName, Cause> {
    QueueName::new(queue).map_err(|error| Cause::config(format!("the queue's name: {error}")))
}

/// The backend returned the reply to another operation.
fn unfitting() -> Cause {
    Fault::new(FaultKind::BadReply).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_reply_to_another_operation_is_an_error() {
        let faults = [
            peeked(QueueReply::Cleared, "q", &Codec::plain()).unwrap_err(),
            cleared(QueueReply::Peeked(Vec::new())).unwrap_err(),
            informed(QueueReply::Cleared).unwrap_err(),
            got(QueueReply::Cleared, "q", &Codec::plain()).unwrap_err(),
            deleted(QueueReply::Cleared).unwrap_err(),
            Listing::new("").take(QueueReply::Cleared).unwrap_err(),
        ];
        for fault in faults {
            assert_eq!(fault.kind(), ErrorKind::Queue, "{fault}");
        }
    }

    #[test]
    fn peeked_messages_that_share_an_id_are_numbered() {
        let message = PeekedMessage {
            id: MessageId::new("a"),
            body: ReceivedBody::Missing,
            reserved_count: None,
        };
        let reply = QueueReply::Peeked(vec![message.clone(), message]);
        let peeked = peeked(reply, "q", &Codec::plain()).unwrap();
        let ids: Vec<&str> = peeked.iter().map(|peeked| peeked.message.as_str()).collect();
        assert_eq!(ids, ["a", "a.2"]);
    }

    #[test]
    fn a_peek_at_no_messages_or_too_many_is_refused() {
        for count in [0, 101, usize::MAX] {
            let refused = peek("q", count).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Config);
            assert!(refused.to_string().contains("1 to 100"), "{refused}");
        }
        for count in [1, 100] {
            assert!(
                matches!(peek("q", count), Ok(QueueOp::Peek { count: requested, .. }) if requested == count)
            );
        }
    }

    #[test]
    fn an_empty_queue_name_is_refused() {
        let message = MessageId::new("1");
        for refused in [peek("", 1), clear(""), info(""), get("", &message), create(""), delete("")]
        {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Config);
        }
    }
}
