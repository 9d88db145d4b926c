//! Administration of queues: peek, get, info, list, clear, create, delete and sweeps.

use std::fmt;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt};
use ivy_proto::admin::{self, Listing, Peeked, SweepConfig};
use ivy_proto::backend::Queue;
use ivy_proto::queue::{FaultKind, QueueInfo, QueueOp, QueueReply, QueueSettings, ReceivedBody};
use ivy_proto::wire::{Codec, Content};
use ivy_proto::{Cause, MessageId, QueueName};

use crate::clock::Clock;
use crate::error::Error;
use crate::fork_check::ForkCheck;
use crate::runtime::Runtime;
use crate::sweep::RunningSweep;

/// How many requests for messages of several queues are in flight at a time. Messages may be large.
const CONCURRENT_PEEKS: usize = 8;

/// Peeks into queues, lists, creates, clears and sweeps them. Except in a sweep, every request is
/// tried once.
pub struct Admin<R> {
    queue: Arc<dyn Queue>,
    codec: Codec,
    fork_check: Arc<ForkCheck>,
    clock: Clock<R>,
}

impl<R: Runtime> Admin<R> {
    pub(crate) fn new(
        queue: Arc<dyn Queue>,
        codec: Codec,
        fork_check: Arc<ForkCheck>,
        clock: Clock<R>,
    ) -> Self {
        Admin { queue, codec, fork_check, clock }
    }

    /// Looks through the messages of a queue, and requeues, deletes or moves those that a filter
    /// selects. Nothing is sent before the first step of the returned [`RunningSweep`], and nothing
    /// is changed before its plan is confirmed.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the configuration is contradictory;
    /// [`Queue`](crate::ErrorKind::Queue), with a fault of the kind
    /// [`Unsupported`](ivy_proto::queue::FaultKind::Unsupported), if the queue's backend cannot do
    /// it.
    pub fn sweep(&self, config: SweepConfig) -> Result<RunningSweep<R>, Error<R>> {
        self.fork_check.claim()?;
        RunningSweep::start(config, Arc::clone(&self.queue), self.codec.clone(), self.clock)
    }

    /// Reads a body of this physical queue that the program has from elsewhere.
    #[must_use]
    pub fn read(&self, body: &ReceivedBody, queue: &QueueName) -> Content {
        Content::read(body, queue, &self.codec)
    }

    pub(crate) async fn messages(
        &self,
        queue: &str,
        count: usize,
    ) -> Result<Vec<Peeked>, Error<R>> {
        let read = |reply| admin::peeked(reply, queue, &self.codec);
        self.execute(admin::peek(queue, count)?, read).await
    }

    pub(crate) async fn message(
        &self,
        queue: &str,
        message: &MessageId,
    ) -> Result<Peeked, Error<R>> {
        let read = |reply| admin::got(reply, queue, &self.codec);
        let found = self.execute(admin::get(queue, message)?, read).await;
        match found {
            // Only a listing numbers messages.
            Err(error) if has_no_message(&error) && admin::is_numbered(message) => {
                let peeked = self.messages(queue, admin::MAX_PEEKED).await?;
                peeked.into_iter().find(|peeked| peeked.message == *message).ok_or(error)
            }
            found => found,
        }
    }

    pub(crate) async fn make(&self, queue: &str) -> Result<QueueInfo, Error<R>> {
        self.execute(admin::create(queue)?, admin::informed).await
    }

    pub(crate) async fn change_settings(
        &self,
        queue: &str,
        settings: QueueSettings,
    ) -> Result<QueueInfo, Error<R>> {
        self.execute(admin::update(queue, settings)?, admin::informed).await
    }

    pub(crate) async fn remove(&self, queue: &str) -> Result<(), Error<R>> {
        self.execute(admin::delete(queue)?, admin::deleted).await
    }

    pub(crate) async fn delete_all(&self, queue: &str) -> Result<(), Error<R>> {
        self.execute(admin::clear(queue)?, admin::cleared).await
    }

    pub(crate) async fn settings(&self, queue: &str) -> Result<QueueInfo, Error<R>> {
        self.execute(admin::info(queue)?, admin::informed).await
    }

    /// The settings of several queues, in order.
    pub(crate) async fn all_settings(
        &self,
        queues: &[QueueName],
    ) -> Vec<Result<QueueInfo, Error<R>>> {
        let concurrent = self.queue.capabilities().admin.concurrent_infos.max(1);
        let asked = queues.iter().map(|queue| self.settings(queue.as_str()));
        stream::iter(asked).buffered(concurrent).collect().await
    }

    /// The next messages of several queues, in order.
    pub(crate) async fn all_messages(
        &self,
        queues: &[QueueName],
        count: usize,
    ) -> Vec<Result<Vec<Peeked>, Error<R>>> {
        let asked = queues.iter().map(|queue| self.messages(queue.as_str(), count));
        stream::iter(asked).buffered(CONCURRENT_PEEKS).collect().await
    }

    pub(crate) async fn names(&self, prefix: &str) -> Result<Vec<QueueName>, Error<R>> {
        let mut listing = Listing::new(prefix);
        while let Some(page) = listing.next_page() {
            self.execute(page, |reply| listing.take(reply)).await?;
        }
        Ok(listing.into_names())
    }

    /// Runs an operation and reads its reply. An error names the queue.
    async fn execute<T>(
        &self,
        op: QueueOp,
        read: impl FnOnce(QueueReply) -> Result<T, Cause>,
    ) -> Result<T, Error<R>> {
        self.fork_check.claim()?;
        let queue = op.queue().cloned();
        let reply = self.queue.execute(op).await.map_err(Cause::from);
        reply.and_then(read).map_err(|cause| Error::from(cause).about_queue(queue))
    }
}

impl<R> Clone for Admin<R> {
    fn clone(&self) -> Self {
        let Admin { queue, codec, fork_check, clock } = self;
        let (queue, fork_check) = (Arc::clone(queue), Arc::clone(fork_check));
        Admin { queue, codec: codec.clone(), fork_check, clock: *clock }
    }
}

fn has_no_message<R: Runtime>(error: &Error<R>) -> bool {
    matches!(error.cause(), Cause::Queue(fault) if fault.kind() == FaultKind::NoMessage)
}

impl<R> fmt::Debug for Admin<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("queue", &self.queue).finish_non_exhaustive()
    }
}
