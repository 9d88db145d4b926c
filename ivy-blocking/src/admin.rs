//! Looking at queues, and emptying them.

use std::sync::Arc;

use ivy_proto::admin::{self, Listing, Peeked};
use ivy_proto::queue::{QueueInfo, QueueOp, QueueReply};
use ivy_proto::wire::Codec;
use ivy_proto::{Cause, QueueName};

use crate::backend::{Queue, ask};
use crate::error::Result;

/// Looks at queues, and empties them. Every request is tried once.
#[derive(Clone, Debug)]
pub struct Admin {
    queue: Arc<dyn Queue>,
    codec: Codec,
}

impl Admin {
    pub(crate) fn new(queue: Arc<dyn Queue>, codec: Codec) -> Self {
        Admin { queue, codec }
    }

    /// Looks at the next messages of a physical queue, at most 100, without reserving them. Those
    /// that are reserved or delayed are not seen.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub fn peek(&self, queue: &str, count: usize) -> Result<Vec<Peeked>> {
        let reply = self.ask(admin::peek(queue, count)?)?;
        Ok(admin::peeked(reply, &self.codec)?)
    }

    /// Deletes all messages of a physical queue, reserved ones included.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub fn clear(&self, queue: &str) -> Result<()> {
        let reply = self.ask(admin::clear(queue)?)?;
        Ok(admin::cleared(reply)?)
    }

    /// Tells the settings and sizes of a physical queue.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub fn info(&self, queue: &str) -> Result<QueueInfo> {
        let reply = self.ask(admin::info(queue)?)?;
        Ok(admin::informed(reply)?)
    }

    /// Lists the physical queues whose names begin so, in order; all of them for an empty text.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be asked, or refuses.
    pub fn list(&self, prefix: &str) -> Result<Vec<QueueName>> {
        let mut listing = Listing::new(prefix);
        while let Some(page) = listing.next_page() {
            listing.take(self.ask(page)?)?;
        }
        Ok(listing.into_names())
    }

    fn ask(&self, op: QueueOp) -> Result<QueueReply> {
        Ok(ask(&*self.queue, op).map_err(Cause::from)?)
    }
}
