//! Administration of queues: peek, info, list and clear.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use ivy_proto::admin::{self, Listing, Peeked};
use ivy_proto::backend::Queue;
use ivy_proto::queue::{QueueInfo, QueueOp, QueueReply};
use ivy_proto::wire::Codec;
use ivy_proto::{Cause, QueueName};

use crate::error::Error;
use crate::fork_check::ForkCheck;
use crate::runtime::Runtime;

/// Peeks into queues, lists them and clears them. Every request is tried once.
pub struct Admin<R> {
    queue: Arc<dyn Queue>,
    codec: Codec,
    fork_check: Arc<ForkCheck>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Admin<R> {
    pub(crate) fn new(queue: Arc<dyn Queue>, codec: Codec, fork_check: Arc<ForkCheck>) -> Self {
        Admin { queue, codec, fork_check, runtime: PhantomData }
    }

    pub(crate) async fn messages(
        &self,
        queue: &str,
        count: usize,
    ) -> Result<Vec<Peeked>, Error<R>> {
        let read = |reply| admin::peeked(reply, queue, &self.codec);
        self.execute(admin::peek(queue, count)?, read).await
    }

    pub(crate) async fn delete_all(&self, queue: &str) -> Result<(), Error<R>> {
        self.execute(admin::clear(queue)?, admin::cleared).await
    }

    pub(crate) async fn settings(&self, queue: &str) -> Result<QueueInfo, Error<R>> {
        self.execute(admin::info(queue)?, admin::informed).await
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
        let Admin { queue, codec, fork_check, .. } = self;
        let (queue, fork_check) = (Arc::clone(queue), Arc::clone(fork_check));
        Admin { queue, codec: codec.clone(), fork_check, runtime: PhantomData }
    }
}

impl<R> fmt::Debug for Admin<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("queue", &self.queue).finish_non_exhaustive()
    }
}
