//! Queues and notifiers that fail.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use futures_lite::future::poll_once;
use futures_util::future::{self, BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use ivy_proto::ErrorKind;
use ivy_proto::event::Event;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};

use super::*;
use crate::backend::Heard;
use crate::hub::Hub;
use crate::memory::MemoryQueue;
use crate::worker::Worker;

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
const ONCE: Task<(u64,), u64> = Task::new("test.once").queue("test").retry(false);
const SOON: Duration = Duration::from_secs(60);

/// What becomes of a post.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It does not reach the queue.
    Unreachable,
    /// It is stored, and the answer lost.
    AnswerLost,
}

/// A queue in memory whose first posts meet these fates.
#[derive(Clone, Debug)]
struct Flaky {
    queue: MemoryQueue,
    fates: Arc<Mutex<VecDeque<Fate>>>,
}

impl Queue for Flaky {
    fn capabilities(&self) -> Capabilities {
        self.queue.capabilities()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<'static, Result<QueueReply, Fault>> {
        let is_post = matches!(op, QueueOp::Post { .. });
        let fate = is_post.then(|| self.fates.lock().unwrap().pop_front()).flatten();
        let done = self.queue.execute(op);
        async move {
            match fate {
                None => done.await,
                Some(Fate::Unreachable) => Err(Fault::new(FaultKind::Unreachable)),
                Some(Fate::AnswerLost) => {
                    done.await?;
                    Err(Fault::new(FaultKind::AnswerLost))
                }
            }
        }
        .boxed()
    }
}

fn flaky(fates: impl IntoIterator<Item = Fate>) -> Flaky {
    let queue = MemoryQueue::new(Clock::start(), [7; 32]);
    Flaky { queue, fates: Arc::new(Mutex::new(fates.into_iter().collect())) }
}

fn ivy(queue: Flaky, notifier: Option<Arc<dyn Notifier>>) -> Ivy {
    let parts = Parts {
        clock: queue.queue.clock(),
        queue: Arc::new(queue),
        notifier,
        codec: Codec::plain(),
        channel: ChannelName::new("ivy-notifier").unwrap(),
        node_compatible: false,
    };
    Ivy::new(parts).unwrap()
}

fn with_fates(fates: impl IntoIterator<Item = Fate>) -> Ivy {
    ivy(flaky(fates), Some(Arc::new(Hub::default())))
}

async fn worker(ivy: &Ivy) -> Worker {
    let double = |n: u64| async move { Ok::<_, ivy_proto::TaskError>(2 * n) };
    ivy.worker().register(&DOUBLE, double).register(&ONCE, double).start().await.unwrap()
}

#[async_std::test]
async fn a_queue_that_cannot_be_reached_for_a_while_delays_a_call() {
    let ivy = with_fates([Fate::Unreachable; 2]);
    let _worker = worker(&ivy).await;
    assert_eq!(ivy.call(&DOUBLE, (4,)).await.unwrap().result(SOON).await.unwrap(), 8);
}

#[async_std::test]
async fn a_call_that_may_have_been_sent_still_gets_its_result() {
    let ivy = with_fates([Fate::AnswerLost]);
    let error = ivy.call(&ONCE, (4,)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    // A worker that was there before could be quicker than the loss.
    let _worker = worker(&ivy).await;
    let id = error.task_id().unwrap();
    let handle = error.into_handle(&ONCE).unwrap();
    assert_eq!(handle.id(), id);
    assert_eq!(handle.result(SOON).await.unwrap(), 8);
}

#[async_std::test]
async fn an_error_gives_a_handle_for_its_own_task_only() {
    let ivy = with_fates([Fate::AnswerLost]);
    let error = ivy.call(&ONCE, (4,)).await.unwrap_err();
    assert!(error.into_handle(&DOUBLE).is_none());
}

#[async_std::test]
async fn several_may_wait_for_one_result_each_with_a_limit_of_its_own() {
    let ivy = with_fates([]);
    let handle = ivy.call(&DOUBLE, (4,)).await.unwrap();
    let hasty_first = async {
        let hasty = handle.result(Duration::from_millis(1)).await;
        (hasty, worker(&ivy).await)
    };
    let (patient, (hasty, starting)) = future::join(handle.result(SOON), hasty_first).await;
    assert_eq!(patient.unwrap(), 8);
    assert_eq!(hasty.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(handle.result(SOON).await.unwrap(), 8, "the result is kept");
    drop(starting);
}

#[async_std::test]
async fn a_task_that_may_run_again_is_sent_again_when_the_answer_is_lost() {
    let ivy = with_fates([Fate::AnswerLost]);
    let mut events = ivy.events();
    let handle = ivy.call(&DOUBLE, (4,)).await.unwrap();
    let _worker = worker(&ivy).await;
    assert_eq!(handle.result(SOON).await.unwrap(), 8);
    let (mut resent, mut acknowledged) = (0, 0);
    // Both copies are run, and acknowledged.
    while acknowledged < 2 {
        match events.next().await.unwrap() {
            Event::Resent { .. } => resent += 1,
            Event::Acknowledged { .. } => acknowledged += 1,
            _ => {}
        }
    }
    assert_eq!(resent, 1);
}

#[async_std::test]
async fn what_waits_is_sent_though_nobody_is_left_who_asked_for_it() {
    let queue = flaky([Fate::Unreachable; 2]);
    let ivy = ivy(queue.clone(), None);
    let mut events = ivy.events();
    let mut sending = Box::pin(async move { ivy.send(&DOUBLE, (4,)).await });
    assert!(poll_once(&mut sending).await.is_none());
    drop(sending);
    while !matches!(events.next().await, Some(Event::TaskSent { .. })) {}
    let op = QueueOp::GetQueue { queue: ivy_proto::QueueName::new("test").unwrap() };
    let Ok(QueueReply::Queue(info)) = queue.execute(op).await else { panic!("nothing was sent") };
    assert_eq!(info.size, Some(1));
}

#[async_std::test]
async fn without_a_notifier_tasks_can_be_sent_and_not_called() {
    let ivy = ivy(flaky([]), None);
    let _worker = worker(&ivy).await;
    let mut events = ivy.events();
    assert_eq!(ivy.call(&DOUBLE, (4,)).await.unwrap_err().kind(), ErrorKind::NoNotifier);
    ivy.send(&DOUBLE, (4,)).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::Acknowledged { .. }) {}
}

/// A notifier that cannot be reached at first, and whose subscription then breaks once.
#[derive(Clone, Debug, Default)]
struct Broken {
    hub: Hub,
    subscriptions: Arc<Mutex<u32>>,
}

impl Notifier for Broken {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        Notifier::publish(&self.hub, publication)
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, Heard> {
        let mut subscriptions = self.subscriptions.lock().unwrap();
        *subscriptions += 1;
        let lost = || Heard::Lost(NotifyFault::new(NotifyFaultKind::Unreachable));
        match *subscriptions {
            1 => stream::iter([lost()]).boxed(),
            2 => stream::iter([Heard::Subscribed, lost()]).boxed(),
            _ => Notifier::subscribe(&self.hub, channels),
        }
    }
}

#[async_std::test]
async fn a_notifier_that_breaks_is_subscribed_to_again() {
    let notifier = Broken::default();
    let ivy = ivy(flaky([]), Some(Arc::new(notifier.clone())));
    let handle = ivy.call(&DOUBLE, (4,)).await.unwrap();
    while *notifier.subscriptions.lock().unwrap() < 3 {
        async_std::task::sleep(Duration::from_millis(10)).await;
    }
    let _worker = worker(&ivy).await;
    assert_eq!(handle.result(SOON).await.unwrap(), 8);
}
