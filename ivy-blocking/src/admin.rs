//! Looking at queues, and emptying them.

use std::sync::Arc;

use ivy_proto::admin::{self, Listing, Peeked};
use ivy_proto::queue::{QueueInfo, QueueOp, QueueReply};
use ivy_proto::wire::Codec;
use ivy_proto::{Cause, QueueName};

use crate::backend::{Queue, ask};
use crate::error::{Error, Result};

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

    /// Looks at the next messages of a physical queue, 1 to 100, without reserving them. Those
    /// that are reserved or delayed are not seen.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist;
    /// [`Config`](crate::ErrorKind::Config) if its name or the number cannot be one.
    pub fn peek(&self, queue: &str, count: usize) -> Result<Vec<Peeked>> {
        self.ask(admin::peek(queue, count)?, |reply| admin::peeked(reply, &self.codec))
    }

    /// Deletes all messages of a physical queue, reserved ones included.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub fn clear(&self, queue: &str) -> Result<()> {
        self.ask(admin::clear(queue)?, admin::cleared)
    }

    /// Tells the settings and sizes of a physical queue.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub fn info(&self, queue: &str) -> Result<QueueInfo> {
        self.ask(admin::info(queue)?, admin::informed)
    }

    /// Lists the physical queues whose names begin so, in order; all of them for an empty text.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be asked, or refuses.
    pub fn list(&self, prefix: &str) -> Result<Vec<QueueName>> {
        let mut listing = Listing::new(prefix);
        while let Some(page) = listing.next_page() {
            self.ask(page, |reply| listing.take(reply))?;
        }
        Ok(listing.into_names())
    }

    /// Asks, and reads the reply. An error names the queue.
    fn ask<T>(&self, op: QueueOp, read: impl FnOnce(QueueReply) -> Result<T, Cause>) -> Result<T> {
        let queue = op.queue().cloned();
        let reply = ask(&*self.queue, op).map_err(Cause::from);
        reply.and_then(read).map_err(|cause| Error::from(cause).about_queue(queue))
    }
}
