//! Looking at queues, and emptying them.

use std::sync::Arc;

use ivy_proto::queue::{Fault, FaultKind, PeekedMessage, QueueInfo, QueueOp, QueueReply};
use ivy_proto::wire::{Codec, Content};
use ivy_proto::{Cause, MessageId, QueueName};

use crate::backend::{Queue, ask};
use crate::error::{Error, Result};

/// How many names are asked for at a time.
const PAGE: usize = 100;

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
        match self.ask(QueueOp::Peek { queue: name(queue)?, count })? {
            QueueReply::Peeked(messages) => Ok(messages
                .into_iter()
                .map(|PeekedMessage { id, body, reserved_count }| Peeked {
                    message: id,
                    reserved_count,
                    content: Content::read(&body, &self.codec),
                })
                .collect()),
            _ => Err(unfitting()),
        }
    }

    /// Deletes all messages of a physical queue, reserved ones included.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub fn clear(&self, queue: &str) -> Result<()> {
        match self.ask(QueueOp::Clear { queue: name(queue)? })? {
            QueueReply::Cleared => Ok(()),
            _ => Err(unfitting()),
        }
    }

    /// Tells the settings and sizes of a physical queue.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub fn info(&self, queue: &str) -> Result<QueueInfo> {
        match self.ask(QueueOp::GetQueue { queue: name(queue)? })? {
            QueueReply::Queue(info) => Ok(info),
            _ => Err(unfitting()),
        }
    }

    /// Lists the physical queues whose names begin so, in order; all of them for an empty text.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be asked, or refuses.
    pub fn list(&self, prefix: &str) -> Result<Vec<QueueName>> {
        let mut names: Vec<QueueName> = Vec::new();
        loop {
            let (prefix, after) = (prefix.to_owned(), names.last().cloned());
            match self.ask(QueueOp::ListQueues { prefix, after, count: PAGE })? {
                QueueReply::Queues(page) => {
                    let more = page.len() == PAGE;
                    // A server that ignores `after` would give the first page for ever.
                    let fresh = page.into_iter().filter(|name| Some(name) > names.last());
                    let before = names.len();
                    names.extend(fresh.collect::<Vec<_>>());
                    if !more || names.len() == before {
                        return Ok(names);
                    }
                }
                _ => return Err(unfitting()),
            }
        }
    }

    fn ask(&self, op: QueueOp) -> Result<QueueReply> {
        Ok(ask(&*self.queue, op).map_err(Cause::from)?)
    }
}

/// A message that was looked at.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peeked {
    /// The message's id.
    pub message: MessageId,
    /// How often it was reserved so far, if the queue tells.
    pub reserved_count: Option<u32>,
    /// What it says.
    pub content: Content,
}

fn name(queue: &str) -> Result<QueueName> {
    QueueName::new(queue).map_err(|error| Error::config(format!("the queue's name: {error}")))
}

/// The backend answered a question that was not asked.
fn unfitting() -> Error {
    Cause::from(Fault::new(FaultKind::BadResponse)).into()
}
