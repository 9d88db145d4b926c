//! Queues and notifiers that fail.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use ivy_proto::ErrorKind;
use ivy_proto::event::Event;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};

use super::*;
use crate::backend::{Answer, Heard, News, PublishResult, QueueResult, Subscription, ask};
use crate::cancel::CancellationToken;
use crate::hub::Hub;
use crate::memory::MemoryQueue;
use crate::worker::Worker;

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
const ONCE: Task<(u64,), u64> = Task::new("test.once").queue("test").retry(false);
/// Longer than anything takes on a busy machine.
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

    fn execute(&self, op: QueueOp, given_up: &CancellationToken, answer: Answer<QueueResult>) {
        let is_post = matches!(op, QueueOp::Post { .. });
        let fate = is_post.then(|| self.fates.lock().unwrap().pop_front()).flatten();
        match fate {
            None => self.queue.execute(op, given_up, answer),
            Some(Fate::Unreachable) => answer.give(Err(Fault::new(FaultKind::Unreachable))),
            Some(Fate::AnswerLost) => {
                let lose = Answer::of_queue(|done| answer.give(done.and(lost())));
                self.queue.execute(op, given_up, lose);
            }
        }
    }
}

fn lost() -> QueueResult {
    Err(Fault::new(FaultKind::AnswerLost))
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

fn worker(ivy: &Ivy) -> Worker {
    let double = |n: u64| Ok::<_, ivy_proto::TaskError>(2 * n);
    ivy.worker().register(&DOUBLE, double).register(&ONCE, double).start().unwrap()
}

#[test]
fn a_queue_that_cannot_be_reached_for_a_while_delays_a_call() {
    let ivy = with_fates([Fate::Unreachable; 2]);
    let _worker = worker(&ivy);
    assert_eq!(ivy.call(&DOUBLE, (4,)).unwrap().result(SOON).unwrap(), 8);
}

#[test]
fn a_queue_that_stays_unreachable_is_told_as_not_sent() {
    let ivy = with_fates([Fate::Unreachable; 100]);
    let error = ivy.call(&DOUBLE, (4,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSent);
    assert!(error.to_string().contains("check the address"), "{error}");
    assert!(error.into_handle(&DOUBLE).is_none());
}

#[test]
fn a_call_that_may_have_been_sent_still_gets_its_result() {
    let ivy = with_fates([Fate::AnswerLost]);
    let _worker = worker(&ivy);
    let error = ivy.call(&ONCE, (4,)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    let id = error.task_id().unwrap();
    let handle = error.into_handle(&ONCE).unwrap();
    assert_eq!(handle.id(), id);
    assert_eq!(handle.result(SOON).unwrap(), 8);
}

#[test]
fn an_error_gives_a_handle_for_its_own_task_only() {
    let ivy = with_fates([Fate::AnswerLost]);
    let error = ivy.call(&ONCE, (4,)).unwrap_err();
    assert!(error.into_handle(&DOUBLE).is_none());
}

#[test]
fn a_task_that_may_run_again_is_sent_again_when_the_answer_is_lost() {
    let ivy = with_fates([Fate::AnswerLost]);
    let events = ivy.events();
    let handle = ivy.call(&DOUBLE, (4,)).unwrap();
    let worker = worker(&ivy);
    assert_eq!(handle.result(SOON).unwrap(), 8);
    drop((worker, handle, ivy));
    let resent = events.filter(|event| matches!(event, Event::Resent { .. })).count();
    assert_eq!(resent, 1);
}

#[test]
fn what_waits_is_sent_though_nobody_is_left_who_asked_for_it() {
    let queue = flaky([Fate::Unreachable]);
    let ivy = ivy(queue.clone(), None);
    let events = ivy.events();
    let call = ivy.prepare(&DOUBLE, &(4,), &CallOptions::new(), Reply::None).unwrap();
    drop(ivy.schedule(vec![call]));
    drop(ivy);
    // The stream ends with the last thread that could send anything.
    assert!(events.count() > 0);
    let op = QueueOp::GetQueue { queue: ivy_proto::QueueName::new("test").unwrap() };
    let Ok(QueueReply::Queue(info)) = ask(&queue, op) else { panic!("nothing was sent") };
    assert_eq!(info.size, Some(1));
}

#[test]
fn without_a_notifier_tasks_can_be_sent_and_not_called() {
    let ivy = ivy(flaky([]), None);
    let _worker = worker(&ivy);
    let mut events = ivy.events();
    assert_eq!(ivy.call(&DOUBLE, (4,)).unwrap_err().kind(), ErrorKind::NoNotifier);
    ivy.send(&DOUBLE, (4,)).unwrap();
    while !matches!(events.next_within(SOON).unwrap(), Event::Acknowledged { .. }) {}
}

/// A notifier that cannot be reached at first, and whose subscription then breaks once.
#[derive(Clone, Debug, Default)]
struct Broken {
    hub: Hub,
    subscriptions: Arc<Mutex<u32>>,
}

impl Notifier for Broken {
    fn publish(&self, publication: Publication, answer: Answer<PublishResult>) {
        Notifier::publish(&self.hub, publication, answer);
    }

    fn subscribe(&self, channels: Vec<ChannelName>, news: News) -> Subscription {
        let mut subscriptions = self.subscriptions.lock().unwrap();
        *subscriptions += 1;
        if *subscriptions > 2 {
            return Notifier::subscribe(&self.hub, channels, news);
        }
        let (subscriber, subscription) = Subscription::new(news);
        if *subscriptions == 2 {
            subscriber.tell(Heard::Subscribed);
        }
        subscriber.tell(Heard::Lost(NotifyFault::new(NotifyFaultKind::Unreachable)));
        subscription
    }
}

#[test]
fn a_notifier_that_breaks_is_subscribed_to_again() {
    let notifier = Broken::default();
    let ivy = ivy(flaky([]), Some(Arc::new(notifier.clone())));
    let mut events = ivy.events();
    let handle = ivy.call(&DOUBLE, (4,)).unwrap();
    while *notifier.subscriptions.lock().unwrap() < 3 {
        // Each attempt is an event.
        assert!(events.next_within(SOON).is_some());
    }
    let _worker = worker(&ivy);
    assert_eq!(handle.result(SOON).unwrap(), 8);
}
