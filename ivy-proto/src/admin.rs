//! Administration: inspecting, listing and emptying queues.
//!
//! For each task, one function creates the operation and another one reads its reply.
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

use crate::error::Cause;
use crate::id::MessageId;
use crate::name::QueueName;
use crate::queue::{Fault, FaultKind, PeekedMessage, QueueInfo, QueueOp, QueueReply};
use crate::wire::{Codec, Content};

/// The limit of messages per peek.
const MAX_PEEKED: usize = 100;
/// The number of names requested per page.
const PAGE: usize = 100;
/// The limit of listed names, in case a server sends pages without end.
const MAX_NAMES: usize = 100_000;

/// A peeked message.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peeked {
    /// The message's id.
    pub message: MessageId,
    /// The number of reservations so far, if the queue reports it.
    pub reserved_count: Option<u32>,
    /// The message body.
    pub content: Content,
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
    let read = |PeekedMessage { id, body, reserved_count }| Peeked {
        message: id,
        reserved_count,
        content: Content::read(&body, &queue, codec),
    };
    Ok(messages.into_iter().map(read).collect())
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
    if let QueueReply::Queue(info) = reply { Ok(info) } else { Err(unfitting()) }
}

/// Lists the names of all queues with a prefix, page by page.
#[derive(Clone, Debug)]
pub struct Listing {
    prefix: String,
    names: Vec<QueueName>,
    complete: bool,
}

impl Listing {
    /// Starts a listing. An empty prefix lists all queues.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Listing { prefix: prefix.to_owned(), names: Vec::new(), complete: false }
    }

    /// The next request; `None` when the listing is complete.
    #[must_use]
    pub fn next_page(&self) -> Option<QueueOp> {
        let (prefix, after) = (self.prefix.clone(), self.names.last().cloned());
        (!self.complete).then_some(QueueOp::ListQueues { prefix, after, count: PAGE })
    }

    /// Adds the names of a reply.
    ///
    /// # Errors
    /// If the reply is to another operation, or there are more than 100,000 names.
    pub fn take(&mut self, reply: QueueReply) -> Result<(), Cause> {
        let QueueReply::Queues(page) = reply else { return Err(unfitting()) };
        let last_page = page.len() < PAGE;
        let known = self.names.len();
        for name in page {
            // A server that ignores the `previous` name would return the first page indefinitely.
            if self.names.last().is_none_or(|last| *last < name) {
                self.names.push(name);
            }
        }
        self.complete = last_page || self.names.len() == known;
        if !self.complete && self.names.len() > MAX_NAMES {
            let detail = format!("more than {MAX_NAMES} queues; use a longer prefix");
            return Err(Fault::new(FaultKind::BadResponse).with_detail(detail).into());
        }
        Ok(())
    }

    /// The names so far, in order.
    #[must_use]
    pub fn into_names(self) -> Vec<QueueName> {
        self.names
    }
}

fn name(queue: &str) -> Result<QueueName, Cause> {
    QueueName::new(queue).map_err(|error| Cause::config(format!("the queue's name: {error}")))
}

/// The backend returned the reply to another operation.
fn unfitting() -> Cause {
    Fault::new(FaultKind::BadResponse).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    /// Lists the queues of a server with these names. Returns the names and the number of requests.
    fn list(names: &[&str], paged: bool) -> (Vec<String>, usize) {
        let mut listing = Listing::new("");
        let mut requests = 0;
        while let Some(op) = listing.next_page() {
            let QueueOp::ListQueues { after, count, .. } = op else { panic!("{op:?}") };
            let after = after.filter(|_| paged);
            let page = names
                .iter()
                .map(|name| QueueName::new(name).unwrap())
                .filter(|name| after.as_ref().is_none_or(|after| after < name))
                .take(count);
            listing.take(QueueReply::Queues(page.collect())).unwrap();
            requests += 1;
        }
        let names = listing.into_names();
        (names.iter().map(|name| name.as_str().to_owned()).collect(), requests)
    }

    fn many(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("queue{number:04}")).collect()
    }

    #[test]
    fn a_listing_without_end_is_stopped() {
        let mut listing = Listing::new("");
        let mut number = 0;
        let error = loop {
            let page =
                (number..number + PAGE).map(|n| QueueName::new(&format!("q{n:09}")).unwrap());
            number += PAGE;
            if let Err(error) = listing.take(QueueReply::Queues(page.collect())) {
                break error;
            }
        };
        assert_eq!((error.kind(), number), (ErrorKind::Queue, MAX_NAMES + PAGE));
    }

    #[test]
    fn queues_are_listed_page_by_page() {
        for (count, pages) in [(0, 1), (1, 1), (99, 1), (100, 2), (101, 2), (250, 3)] {
            let names = many(count);
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            assert_eq!(list(&known, true), (names, pages), "{count} queues");
        }
    }

    #[test]
    fn a_server_without_paging_is_not_asked_indefinitely() {
        let names = many(100);
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(list(&known, false), (names, 2));
    }

    #[test]
    fn a_reply_to_another_operation_is_an_error() {
        let faults = [
            peeked(QueueReply::Cleared, "q", &Codec::plain()).unwrap_err(),
            cleared(QueueReply::Peeked(Vec::new())).unwrap_err(),
            informed(QueueReply::Cleared).unwrap_err(),
            Listing::new("").take(QueueReply::Cleared).unwrap_err(),
        ];
        for fault in faults {
            assert_eq!(fault.kind(), ErrorKind::Queue, "{fault}");
        }
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
        for refused in [peek("", 1), clear(""), info("")] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Config);
        }
    }
}
