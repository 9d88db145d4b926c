//! A send of this process wakes the workers of this process, where the queue itself wakes nobody: a
//! queue without a long poll is asked in intervals, which grow while it is empty.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::mpsc::UnboundedSender;
use futures_util::future::FutureExt;
use ivy_proto::QueueName;
use ivy_proto::backend::{BoxFuture, Queue};
use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};
use ivy_proto::worker::Input;

/// The mailboxes of the workers that are to be woken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nudges(Arc<Mutex<Vec<UnboundedSender<Input>>>>);

impl Nudges {
    pub(crate) fn add(&self, worker: UnboundedSender<Input>) {
        let mut workers = self.lock();
        workers.retain(|worker| !worker.is_closed());
        workers.push(worker);
    }

    fn nudge(&self, queue: &QueueName) {
        self.lock().retain(|worker| worker.unbounded_send(Input::Nudge(queue.clone())).is_ok());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<UnboundedSender<Input>>> {
        // No code that can panic runs while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue whose posts wake the workers.
#[derive(Debug)]
pub(crate) struct NudgingQueue {
    queue: Arc<dyn Queue>,
    nudges: Nudges,
}

impl NudgingQueue {
    pub(crate) fn new(queue: Arc<dyn Queue>, nudges: Nudges) -> Self {
        NudgingQueue { queue, nudges }
    }
}

impl Queue for NudgingQueue {
    fn capabilities(&self) -> Capabilities {
        self.queue.capabilities()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        let posted_to = match &op {
            QueueOp::Post { queue, messages }
                if messages.items().iter().any(|message| message.delay.is_zero()) =>
            {
                Some(queue.clone())
            }
            _ => None,
        };
        let executed = self.queue.execute(op);
        let Some(queue) = posted_to else { return executed };
        let nudges = self.nudges.clone();
        async move {
            let reply = executed.await?;
            nudges.nudge(&queue);
            Ok(reply)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ivy_proto::TaskError;
    use ivy_proto::task::Task;
    use tokio::time::{Instant, sleep};

    use crate::hub::Hub;
    use crate::ivy::Ivy;
    use crate::memory::MemoryQueue;
    use crate::testing::Tokio;

    use super::*;

    const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
    const SOON: Duration = Duration::from_secs(60);
    /// Longer than it takes until an empty queue is asked in the longest intervals.
    const A_WHILE: Duration = Duration::from_secs(600);

    /// A queue in memory that is asked in intervals.
    #[derive(Debug)]
    struct NoLongPoll(MemoryQueue<Tokio>);

    impl Queue for NoLongPoll {
        fn capabilities(&self) -> Capabilities {
            self.0.capabilities().without_long_poll()
        }

        fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
            self.0.execute(op)
        }
    }

    /// Two entrances to one queue.
    fn entrances() -> [Ivy<Tokio>; 2] {
        let queue = MemoryQueue::new(crate::clock::Clock::start(), [7; 32]);
        let hub = Hub::default();
        [(); 2].map(|()| {
            let queue = NoLongPoll(queue.clone());
            Ivy::builder().queue(queue).notifier(hub.clone()).build().unwrap()
        })
    }

    /// How long a call of `producer` takes, after `worker` has found nothing for a while.
    async fn time_of_a_call(producer: &Ivy<Tokio>, worker: &Ivy<Tokio>) -> Duration {
        let double = |n: u64| async move { Ok::<_, TaskError>(2 * n) };
        let _worker = worker.worker().register(&DOUBLE, double).start().await.unwrap();
        sleep(A_WHILE).await;
        let since = Instant::now();
        assert_eq!(producer.call(&DOUBLE, (4,)).await.unwrap().result(SOON).await.unwrap(), 8);
        since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_of_the_same_ivy_runs_what_is_sent_at_once() {
        let [ivy, _] = entrances();
        let took = time_of_a_call(&ivy, &ivy).await;
        assert!(took < Duration::from_millis(50), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_elsewhere_finds_what_is_sent_when_it_asks_next() {
        let [producer, worker] = entrances();
        let took = time_of_a_call(&producer, &worker).await;
        assert!(took > Duration::from_millis(50), "{took:?}");
    }
}
