//! Queues and notifiers that fail, in virtual time.

mod many;
mod waiting;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use ivy_proto::backend::SubscriptionEvent;
use ivy_proto::config::{Config, Environment};
use ivy_proto::event::{Event, ReleaseReason};
use ivy_proto::metrics::Backends;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::worker::TraceRelation;
use ivy_proto::{ErrorKind, TaskError};

use super::*;
use crate::memory_notifier::MemoryNotifier;
use crate::memory_queue::MemoryQueue;
use crate::testing::{Tokio, refuse_handlers};
use crate::worker::Worker;

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
const ONCE: Task<(u64,), u64> = Task::new("test.once").queue("test").retry(false);
const SOON: Duration = Duration::from_secs(60);

/// The fate of a post.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It does not reach the queue.
    Unreachable,
    /// It is stored, and the reply is lost.
    ReplyLost,
    /// It is stored, and the reply comes a second later.
    ResponseLate,
}

/// A queue in memory whose first posts meet these fates.
#[derive(Clone, Debug)]
struct Flaky {
    queue: MemoryQueue<Tokio>,
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
                Some(Fate::ReplyLost) => {
                    done.await?;
                    Err(Fault::new(FaultKind::ReplyLost))
                }
                Some(Fate::ResponseLate) => {
                    let reply = done.await;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    reply
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

fn ivy(queue: Flaky, notifier: Option<Arc<dyn Notifier>>) -> Ivy<Tokio> {
    let memory = queue.queue.memory().clone();
    let clock = memory.clock();
    let parts = Parts {
        clock,
        queue: Arc::new(queue),
        notifier,
        codec: Codec::plain(),
        keyset_file: None,
        channel: ChannelName::new("ivy-notifier").unwrap(),
        node_compatible: false,
        node_peers: true,
        within: None,
        backends: Backends::new("memory", None),
        tracer: Tracer::new(None, TraceRelation::default(), "memory"),
        memory: Some(memory),
        events: EventSink::new(clock),
        addresses: Addresses::default(),
        sources: sources(),
    };
    Ivy::new(parts).unwrap()
}

/// The sources of a program with a queue and a notifier of its own.
fn sources() -> Sources {
    let config = Config::builder().custom_queue().custom_notifier();
    config.resolve(&Environment::empty()).unwrap().sources
}

fn with_fates(fates: impl IntoIterator<Item = Fate>) -> Ivy<Tokio> {
    ivy(flaky(fates), Some(Arc::new(MemoryNotifier::default())))
}

async fn worker(ivy: &Ivy<Tokio>) -> Worker<Tokio> {
    let double = |n: u64| async move { Ok::<_, ivy_proto::TaskError>(2 * n) };
    ivy.worker().register(&DOUBLE, double).register(&ONCE, double).start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_temporarily_unreachable_queue_delays_a_call() {
    let ivy = with_fates([Fate::Unreachable; 3]);
    let _worker = worker(&ivy).await;
    assert_eq!(ivy.call(&DOUBLE, (4,)).await.unwrap().result(SOON).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_call_to_an_unreachable_queue_fails_as_not_sent() {
    let ivy = with_fates([Fate::Unreachable; 100]);
    let error = ivy.call(&DOUBLE, (4,)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent);
    assert!(error.to_string().contains("check the address"), "{error}");
    assert!(error.into_handle(&DOUBLE).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_may_have_been_sent_still_gets_its_result() {
    let ivy = with_fates([Fate::ReplyLost]);
    let _worker = worker(&ivy).await;
    let error = ivy.call(&ONCE, (4,)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    let id = error.task_id().unwrap();
    let handle = error.into_handle(&ONCE).unwrap();
    assert_eq!(handle.id(), id);
    assert_eq!(handle.result(SOON).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn a_result_may_arrive_before_the_reply_to_the_post() {
    let ivy = with_fates([Fate::ResponseLate]);
    let _worker = worker(&ivy).await;
    let mut events = ivy.events();
    let handle = ivy.call(&DOUBLE, (4,)).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::CallerResumed { .. }) {}
    assert_eq!(handle.result(SOON).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn an_error_converts_to_a_handle_of_its_own_task_only() {
    let ivy = with_fates([Fate::ReplyLost]);
    let error = ivy.call(&ONCE, (4,)).await.unwrap_err();
    assert!(error.into_handle(&DOUBLE).is_none());
}

#[tokio::test(start_paused = true)]
async fn several_callers_may_wait_for_one_result_each_with_its_own_timeout() {
    let ivy = with_fates([]);
    let handle = ivy.call(&DOUBLE, (4,)).await.unwrap();
    let (patient, hasty, starting) =
        tokio::join!(handle.result(SOON), handle.result(Duration::from_millis(1)), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            worker(&ivy).await
        },);
    assert_eq!(patient.unwrap(), 8);
    assert_eq!(hasty.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(handle.result(SOON).await.unwrap(), 8, "the result is retained");
    drop(starting);
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_task_is_sent_again_if_the_reply_is_lost() {
    let ivy = with_fates([Fate::ReplyLost]);
    let mut events = ivy.events();
    let handle = ivy.call(&DOUBLE, (4,)).await.unwrap();
    let _worker = worker(&ivy).await;
    assert_eq!(handle.result(SOON).await.unwrap(), 8);
    let mut resent = 0;
    while let Ok(Some(event)) = tokio::time::timeout(SOON, events.next()).await {
        resent += u32::from(matches!(event, Event::Resent { .. }));
    }
    assert_eq!(resent, 1);
}

#[tokio::test(start_paused = true)]
async fn pending_calls_are_sent_after_all_callers_are_gone() {
    let queue = flaky([Fate::Unreachable; 2]);
    let ivy = ivy(queue.clone(), None);
    let sending = tokio::spawn(async move { ivy.send(&DOUBLE, (4,)).await });
    tokio::task::yield_now().await;
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    tokio::time::sleep(SOON).await;
    let op = QueueOp::GetQueue { queue: ivy_proto::QueueName::new("test").unwrap() };
    let Ok(QueueReply::Queue(info)) = queue.execute(op).await else { panic!("nothing was sent") };
    assert_eq!(info.size, Some(1));
}

#[tokio::test(start_paused = true)]
async fn without_a_notifier_tasks_can_be_sent_but_not_called() {
    let ivy = ivy(flaky([]), None);
    let _worker = worker(&ivy).await;
    let mut events = ivy.events();
    assert_eq!(ivy.call(&DOUBLE, (4,)).await.unwrap_err().kind(), ErrorKind::NoNotifier);
    ivy.send(&DOUBLE, (4,)).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::Acknowledged { .. }) {}
}

/// A notifier that is unreachable at first and whose subscription then breaks once.
#[derive(Clone, Debug)]
struct UnreliableNotifier {
    notifier: MemoryNotifier,
    subscriptions: Arc<Mutex<u32>>,
    always: bool,
}

impl UnreliableNotifier {
    fn new(always: bool) -> Self {
        UnreliableNotifier {
            notifier: MemoryNotifier::default(),
            subscriptions: Arc::default(),
            always,
        }
    }
}

impl Notifier for UnreliableNotifier {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        Notifier::publish(&self.notifier, publication)
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, SubscriptionEvent> {
        let mut subscriptions = self.subscriptions.lock().unwrap();
        *subscriptions += 1;
        let lost = || SubscriptionEvent::Lost(NotifyFault::new(NotifyFaultKind::Unreachable));
        match *subscriptions {
            1 => stream::iter([lost()]).boxed(),
            _ if self.always => stream::iter([lost()]).boxed(),
            2 => stream::iter([SubscriptionEvent::Subscribed, lost()]).boxed(),
            _ => Notifier::subscribe(&self.notifier, channels),
        }
    }
}

/// A notifier whose subscriptions end as soon as they are up.
#[derive(Clone, Debug, Default)]
struct ShortLived {
    subscriptions: Arc<Mutex<u32>>,
}

impl Notifier for ShortLived {
    fn publish(&self, _: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        async { Ok(0) }.boxed()
    }

    fn subscribe(&self, _: Vec<ChannelName>) -> BoxStream<'static, SubscriptionEvent> {
        *self.subscriptions.lock().unwrap() += 1;
        let lost = SubscriptionEvent::Lost(NotifyFault::new(NotifyFaultKind::ConnectionLost));
        stream::iter([SubscriptionEvent::Subscribed, lost]).boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_whose_subscriptions_do_not_last_renews_them_less_and_less_often() {
    let notifier = ShortLived::default();
    let ivy = ivy(flaky([]), Some(Arc::new(notifier.clone())));
    let mut watch = ivy.watch_workers().unwrap();
    let _ = watch.hear(SOON).await;
    let subscriptions = *notifier.subscriptions.lock().unwrap();
    assert!((5..=20).contains(&subscriptions), "{subscriptions} in a minute");
}

#[tokio::test(start_paused = true)]
async fn a_broken_subscription_is_renewed() {
    let notifier = UnreliableNotifier::new(false);
    let ivy = ivy(flaky([]), Some(Arc::new(notifier.clone())));
    let handle = ivy.call(&DOUBLE, (4,)).await.unwrap();
    tokio::time::sleep(SOON).await;
    assert_eq!(*notifier.subscriptions.lock().unwrap(), 3);
    let _worker = worker(&ivy).await;
    assert_eq!(handle.result(SOON).await.unwrap(), 8);
}

#[tokio::test(start_paused = true)]
async fn without_a_subscription_nothing_is_sent() {
    let queue = flaky([]);
    let ivy = ivy(queue.clone(), Some(Arc::new(UnreliableNotifier::new(true))));
    let error = ivy.call(&DOUBLE, (4,)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotifierUnavailable);
    let op = QueueOp::GetQueue { queue: ivy_proto::QueueName::new("test").unwrap() };
    assert_eq!(queue.execute(op).await.unwrap_err().kind(), FaultKind::NoQueue);
}

#[tokio::test(start_paused = true)]
async fn arguments_that_json_cannot_represent_are_reported_with_task_and_queue() {
    const HALVE: Task<(f64,), f64> = Task::new("test.halve").queue("test");
    let error = with_fates([]).call(&HALVE, (f64::NAN,)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadArgs);
    let text = error.to_string();
    assert!(text.starts_with("task test.halve (") && text.contains(" on queue test): "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_return_the_error_of_its_own_call() {
    async fn handler(ivy: Ivy<Tokio>) -> Result<u64, TaskError> {
        Ok(ivy.call(&DOUBLE, (4,)).await?.result(SOON).await?)
    }
    let error = handler(ivy(flaky([]), None)).await.unwrap_err();
    assert!(error.message().contains("results need a notifier"), "{error}");
    assert!(!error.is_fatal());
}

#[tokio::test(start_paused = true)]
async fn a_caller_whose_message_was_released_waits_on_and_the_timeout_reports_why() {
    const UNKNOWN: Task<(u64,), u64> = Task::new("test.unknown").queue("test");
    let ivy = with_fates([]);
    let _worker = worker(&ivy).await;
    let handle = ivy.call(&UNKNOWN, (4,)).await.unwrap();
    let error = handle.result(SOON).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let text = error.to_string();
    let expected =
        "no result within 60s; a worker of queue test released the message: UnknownTask: ";
    assert!(text.contains(expected) && text.contains("; check that a worker"), "{text}");
    assert_eq!(handle.released().unwrap().kind, "UnknownTask");
    let with_handler =
        ivy.worker().register(&UNKNOWN, |n: u64| async move { Ok::<_, TaskError>(n) });
    let _with_handler = with_handler.start().await.unwrap();
    assert_eq!(handle.result(10 * SOON).await.unwrap(), 4);
}

#[test]
fn a_call_after_the_end_of_the_runtime_fails_as_stopped() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ivy = with_fates([]);
    runtime().block_on(async { ivy.send(&DOUBLE, (4,)).await.unwrap() });
    let error = runtime().block_on(async { ivy.send(&DOUBLE, (4,)).await.unwrap_err() });
    assert_eq!(error.kind(), ErrorKind::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_wait_in_a_handler_ends_when_its_worker_drains_on_any_ivy() {
    const OUTER: Task<(), u64> = Task::new("test.outer").queue("test");
    let ivy = with_fates([]);
    let (results, mut kinds) = futures_channel::mpsc::unbounded();
    let other = ivy.clone();
    let outer = move || {
        let (ivy, results) = (other.clone(), results.clone());
        async move {
            let result = ivy.call(&DOUBLE, (4,)).await?.result(10 * SOON).await;
            results.unbounded_send(result.as_ref().map_err(Error::kind).copied()).unwrap();
            Ok::<_, TaskError>(result?)
        }
    };
    let double = |n: u64| async move { Ok::<_, TaskError>(2 * n) };
    let worker = ivy.worker().concurrency(1).register(&OUTER, outer).register(&DOUBLE, double);
    let worker = worker.start().await.unwrap();
    let mut events = ivy.events();
    ivy.send(&OUTER, ()).await.unwrap();
    while !matches!(events.next().await.unwrap(), Event::SlotsWait { slots: 1, .. }) {}
    let begun = tokio::time::Instant::now();
    worker.drain(SOON).await;
    assert!(begun.elapsed() < SOON / 10, "{:?}", begun.elapsed());
    assert_eq!(kinds.next().await, Some(Err(ErrorKind::Draining)));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_cannot_be_started_is_retried_later() {
    let ivy = with_fates([]);
    let mut events = ivy.events();
    let _worker = worker(&ivy).await;
    refuse_handlers(2);
    assert_eq!(ivy.call(&ONCE, (4,)).await.unwrap().result(SOON).await.unwrap(), 8);
    let mut not_run = 0;
    while let Ok(Some(event)) = tokio::time::timeout(SOON, events.next()).await {
        let reason = ReleaseReason::NoThread;
        not_run +=
            u32::from(matches!(event, Event::Released { reason: other, .. } if other == reason));
    }
    assert_eq!(not_run, 2);
}

#[tokio::test(start_paused = true)]
async fn a_custom_backend_is_found_by_its_scheme() {
    use ivy_proto::backend::{NotifierBackend, Plug, QueueBackend};

    let plug = Plug::new("test", &["test"])
        .with_queue("test://", |_, _| {
            Ok(QueueBackend::queue(MemoryQueue::new(Clock::<Tokio>::start(), [7; 32])))
        })
        .with_notifier("test://", |_, _| Ok(NotifierBackend::notifier(MemoryNotifier::default())));
    let ivy = Ivy::<Tokio>::builder().backend(plug).queue_url("test://").build().unwrap();
    let _worker = worker(&ivy).await;
    assert_eq!(ivy.call(&DOUBLE, (4,)).await.unwrap().result(SOON).await.unwrap(), 8);
}
