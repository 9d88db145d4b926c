//! What wakes workers between their polls: the events of their queue, and the sends of this
//! process.
//!
//! A send of this process wakes its workers even if the queue itself does not: a queue without a
//! long poll is polled at intervals that grow while it is empty.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_channel::mpsc::UnboundedSender;
use futures_util::future::FutureExt;
use futures_util::stream::{AbortHandle, Abortable, StreamExt};
use ivy_proto::QueueName;
use ivy_proto::backend::{BoxFuture, BoxStream, Queue, QueueEvent};
use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};
use ivy_proto::worker::Input;

use crate::runtime::Runtime;

/// After this many events, counting the receipts in them, a watched queue is paused for [`PAUSE`]:
/// endless events must not fill the memory of its workers.
const BURST: u32 = 256;
const PAUSE: Duration = Duration::from_millis(1);

fn weight(event: &QueueEvent) -> u32 {
    match event {
        QueueEvent::LeasesLost(receipts) => {
            u32::try_from(receipts.len()).unwrap_or(u32::MAX / 2).saturating_add(1)
        }
        _ => 1,
    }
}

/// The workers of an [`Ivy`](crate::Ivy).
#[derive(Clone, Debug, Default)]
pub(crate) struct Nudges(Arc<Listeners>);

#[derive(Debug, Default)]
struct Listeners {
    mailboxes: Mutex<Vec<UnboundedSender<Input>>>,
    /// Ends the watch of the queue.
    watch: OnceLock<AbortHandle>,
}

impl Nudges {
    /// Adds a worker. The first one starts the watch of the queue.
    pub(crate) fn add<R: Runtime>(
        &self,
        worker: UnboundedSender<Input>,
        queue: &dyn Queue,
    ) -> io::Result<()> {
        let mut mailboxes = self.0.lock();
        mailboxes.retain(|mailbox| !mailbox.is_closed());
        mailboxes.push(worker);
        drop(mailboxes);
        self.watch::<R>(queue)
    }

    fn watch<R: Runtime>(&self, queue: &dyn Queue) -> io::Result<()> {
        let (handle, registration) = AbortHandle::new_pair();
        if self.0.watch.set(handle).is_err() {
            return Ok(());
        }
        let Some(events) = queue.watch() else { return Ok(()) };
        let mut events = Abortable::new(events, registration);
        let listeners = Arc::downgrade(&self.0);
        R::spawn("ivy-watch", async move {
            let mut count = 0;
            while let Some(event) = events.next().await {
                let Some(listeners) = listeners.upgrade() else { return };
                listeners.send(&event);
                drop(listeners);
                count += weight(&event);
                // Workers receive events faster than that, so they do not accumulate.
                let pause = PAUSE * (count / BURST);
                count %= BURST;
                if !pause.is_zero() {
                    R::sleep_until(R::now() + pause).await;
                }
            }
        })
    }

    fn nudge(&self, queue: &QueueName) {
        self.0.send(&QueueEvent::Wake(queue.clone()));
    }
}

impl Listeners {
    /// Passes each worker the part that concerns it.
    fn send(&self, event: &QueueEvent) {
        self.lock().retain(|mailbox| match event {
            QueueEvent::Wake(queue) => mailbox.unbounded_send(Input::Nudge(queue.clone())).is_ok(),
            QueueEvent::LeasesLost(receipts) => {
                mailbox.unbounded_send(Input::LeasesLost(receipts.clone())).is_ok()
            }
            _ => true,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<UnboundedSender<Input>>> {
        // No code that can panic runs while the lock is held.
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        if let Some(watch) = self.watch.get() {
            watch.abort();
        }
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

    fn watch(&self) -> Option<BoxStream<QueueEvent>> {
        self.queue.watch()
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

    use futures_channel::mpsc;
    use ivy_proto::task::Task;
    use ivy_proto::{MessageId, Receipt, ReservationId, TaskError};
    use tokio::time::{Instant, sleep};

    use crate::ivy::Ivy;
    use crate::memory_notifier::MemoryNotifier;
    use crate::memory_queue::MemoryQueue;
    use crate::testing::Tokio;

    use super::*;

    const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
    const SOON: Duration = Duration::from_secs(60);
    /// Longer than the longest poll interval of an empty queue.
    const LONG: Duration = Duration::from_secs(600);

    /// A queue in memory without a long poll.
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

    /// A queue that reports events without end.
    #[derive(Debug)]
    struct EndlessEvents;

    impl Queue for EndlessEvents {
        fn capabilities(&self) -> Capabilities {
            Capabilities::broker()
        }

        fn execute(&self, _: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
            Box::pin(std::future::pending())
        }

        fn watch(&self) -> Option<BoxStream<QueueEvent>> {
            let receipt =
                Receipt { message: MessageId::new("1"), reservation: ReservationId::new("1") };
            let lost = QueueEvent::LeasesLost(vec![receipt; 10]);
            Some(futures_util::stream::repeat(lost).boxed())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn endless_events_of_a_queue_do_not_accumulate() {
        let (worker, mut mailbox) = mpsc::unbounded();
        let nudges = Nudges::default();
        nudges.add::<Tokio>(worker, &EndlessEvents).unwrap();
        sleep(Duration::from_millis(100)).await;
        drop(nudges);
        let mut received = 0;
        while mailbox.try_recv().is_ok() {
            received += 1;
        }
        assert!((100..5_000).contains(&received), "{received}");
    }

    /// Two ivies over one queue.
    fn entrances() -> [Ivy<Tokio>; 2] {
        let queue = MemoryQueue::new(crate::clock::Clock::start(), [7; 32]);
        let notifier = MemoryNotifier::default();
        [(); 2].map(|()| {
            let queue = NoLongPoll(queue.clone());
            Ivy::builder().queue(queue).notifier(notifier.clone()).build().unwrap()
        })
    }

    /// How long a call of `producer` takes after `worker` has been idle for [`LONG`].
    async fn call_duration(producer: &Ivy<Tokio>, worker: &Ivy<Tokio>) -> Duration {
        let double = |n: u64| async move { Ok::<_, TaskError>(2 * n) };
        let _worker = worker.worker().register(&DOUBLE, double).start().await.unwrap();
        sleep(LONG).await;
        let since = Instant::now();
        assert_eq!(producer.call(&DOUBLE, (4,)).await.unwrap().result(SOON).await.unwrap(), 8);
        since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_of_the_same_ivy_runs_a_sent_task_at_once() {
        let [ivy, _] = entrances();
        let took = call_duration(&ivy, &ivy).await;
        assert!(took < Duration::from_millis(50), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_of_another_ivy_runs_a_sent_task_at_its_next_poll() {
        // It may happen to poll just then, but not each time.
        let mut longest = Duration::ZERO;
        for _ in 0..20 {
            let [producer, worker] = entrances();
            longest = longest.max(call_duration(&producer, &worker).await);
        }
        assert!(longest > Duration::from_millis(50), "{longest:?}");
    }

    /// An empty queue without a long poll that reports sends as events.
    #[derive(Debug)]
    struct Reporting(NoLongPoll, Mutex<Option<mpsc::UnboundedReceiver<QueueEvent>>>);

    impl Queue for Reporting {
        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }

        fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
            self.0.execute(op)
        }

        fn watch(&self) -> Option<BoxStream<QueueEvent>> {
            let events = self.1.lock().unwrap().take().expect("it is called once");
            Some(events.boxed())
        }
    }

    fn reporting() -> (mpsc::UnboundedSender<QueueEvent>, Reporting, MemoryQueue<Tokio>) {
        let queue = MemoryQueue::new(crate::clock::Clock::start(), [7; 32]);
        let (sender, events) = mpsc::unbounded();
        (sender, Reporting(NoLongPoll(queue.clone()), Mutex::new(Some(events))), queue)
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_reports_a_message_wakes_its_workers() {
        let (reports, queue, shared) = reporting();
        let notifier = MemoryNotifier::default();
        let worker =
            Ivy::<Tokio>::builder().queue(queue).notifier(notifier.clone()).build().unwrap();
        let producer =
            Ivy::<Tokio>::builder().queue(NoLongPoll(shared)).notifier(notifier).build().unwrap();
        let double = |n: u64| async move { Ok::<_, TaskError>(2 * n) };
        let _worker = worker.worker().register(&DOUBLE, double).start().await.unwrap();
        sleep(LONG).await;
        let since = Instant::now();
        let handle = producer.call(&DOUBLE, (4,)).await.unwrap();
        reports.unbounded_send(QueueEvent::Wake(QueueName::new("test").unwrap())).unwrap();
        assert_eq!(handle.result(SOON).await.unwrap(), 8);
        assert!(since.elapsed() < Duration::from_millis(50), "{:?}", since.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_is_watched_until_its_workers_and_their_ivy_are_dropped() {
        let (reports, queue, _) = reporting();
        let ivy = Ivy::<Tokio>::builder()
            .queue(queue)
            .notifier(MemoryNotifier::default())
            .build()
            .unwrap();
        let double = |n: u64| async move { Ok::<_, TaskError>(2 * n) };
        let worker = ivy.worker().register(&DOUBLE, double).start().await.unwrap();
        sleep(SOON).await;
        assert!(!reports.is_closed());
        worker.drain(SOON).await;
        drop((worker, ivy));
        sleep(SOON).await;
        assert!(reports.is_closed());
    }
}
