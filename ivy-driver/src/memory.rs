//! A queue in this process: the in-memory broker, behind a lock.
//!
//! Whoever asks works on it himself, and waits where his answer waits: a switch to a task or thread
//! of its own and back would take longer than most of what is asked.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use event_listener::Event;
use futures_channel::oneshot;
use futures_util::future::{BoxFuture, Either, FutureExt, select};
use ivy_proto::backend::Queue;
use ivy_proto::broker::{
    Answer, Broker, BrokerConfig, Delivery, Input, Output, Refusal, Request, RequestId, Target,
};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::{Moment, QueueName};

use crate::clock::Clock;
use crate::pump::taken;
use crate::runtime::Runtime;

/// A queue backend in this process, with the behaviour of IronMQ. Its messages live as long as it,
/// its clones, and whoever waits for one.
pub(crate) struct MemoryQueue<R> {
    clock: Clock<R>,
    seed: [u8; 32],
    /// Opened by the first request, which is the first to need a runtime. Nothing if that gives no
    /// means to keep time.
    counter: Arc<OnceLock<Option<Arc<Counter<R>>>>>,
}

impl<R: Runtime> MemoryQueue<R> {
    pub(crate) fn new(clock: Clock<R>, seed: [u8; 32]) -> Self {
        MemoryQueue { clock, seed, counter: Arc::default() }
    }

    #[cfg(test)]
    pub(crate) fn clock(&self) -> Clock<R> {
        self.clock
    }

    fn counter(&self) -> Option<Arc<Counter<R>>> {
        self.counter.get_or_init(|| Counter::open(self.clock, self.seed)).clone()
    }
}

impl<R> Clone for MemoryQueue<R> {
    fn clone(&self) -> Self {
        let MemoryQueue { clock, seed, counter } = self;
        MemoryQueue { clock: *clock, seed: *seed, counter: Arc::clone(counter) }
    }
}

impl<R> fmt::Debug for MemoryQueue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryQueue")
    }
}

impl<R: Runtime> Queue for MemoryQueue<R> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::broker().with_reserves_taken_back()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<'static, Result<QueueReply, Fault>> {
        let counter = self.counter();
        async move {
            let counter = counter.ok_or_else(lost)?;
            let queue = op.queue().cloned();
            let answer = match counter.ask(op.into())? {
                Asked::Answered(answer) => answer,
                Asked::Waits(id, answer) => Waits { id, queue, answer, counter }.await?,
            };
            Ok(answer?.into())
        }
        .boxed()
    }
}

fn lost() -> Fault {
    Fault::new(FaultKind::AnswerLost).with_detail("the queue in memory has stopped")
}

/// Where requests are handed in.
struct Counter<R> {
    clock: Clock<R>,
    desk: Mutex<Desk>,
    /// Something becomes due earlier than was known, or never will any more.
    alarm_changed: Arc<Event>,
}

impl<R: Runtime> Counter<R> {
    fn open(clock: Clock<R>, seed: [u8; 32]) -> Option<Arc<Self>> {
        let desk = Mutex::new(Desk::new(seed));
        let counter = Arc::new(Counter { clock, desk, alarm_changed: Arc::default() });
        let changed = Arc::clone(&counter.alarm_changed);
        match R::spawn("ivy-memory", keep_time(Arc::downgrade(&counter), clock, changed)) {
            Ok(()) => Some(counter),
            Err(error) => {
                tracing::error!(%error, "the queue in memory cannot be started");
                None
            }
        }
    }

    fn ask(&self, request: Request) -> Result<Asked, Fault> {
        self.work(|desk, now| desk.ask(request, now))
    }

    /// Works at the desk, and hands out the answers that others wait for. Fails for good once this
    /// was broken off by a panic, since nobody knows how far it had come.
    fn work<T>(&self, work: impl FnOnce(&mut Desk, Moment) -> T) -> Result<T, Fault> {
        let mut desk = self.desk.lock().map_err(|_| lost())?;
        let result = work(&mut desk, self.clock.now());
        if desk.hand_out() {
            self.alarm_changed.notify(usize::MAX);
        }
        Ok(result)
    }
}

impl<R> Drop for Counter<R> {
    fn drop(&mut self) {
        self.alarm_changed.notify(usize::MAX);
    }
}

/// Does what becomes due while nobody asks, as long as there is a counter.
async fn keep_time<R: Runtime>(counter: Weak<Counter<R>>, clock: Clock<R>, changed: Arc<Event>) {
    loop {
        let change = changed.listen();
        let Some(Ok(alarm)) = counter.upgrade().map(|counter| counter.work(|desk, _| desk.alarm))
        else {
            return;
        };
        let due = pin!(clock.sleep_until(alarm));
        if let Either::Right(_) = select(change, due).await
            && let Some(counter) = counter.upgrade()
        {
            // It fails if nothing works any more.
            let _ = counter.work(Desk::tick);
        }
    }
}

/// Where one request after another is worked on.
struct Desk {
    broker: Broker,
    last_id: u64,
    waiting: HashMap<RequestId, oneshot::Sender<Outcome>>,
    /// When something becomes due, at the earliest.
    alarm: Option<Moment>,
}

type Outcome = Result<Answer, Refusal>;

/// What has become of a request so far.
enum Asked {
    Answered(Outcome),
    Waits(RequestId, oneshot::Receiver<Outcome>),
}

impl Desk {
    fn new(seed: [u8; 32]) -> Self {
        let broker = Broker::new(BrokerConfig::default(), seed);
        Desk { broker, last_id: 0, waiting: HashMap::new(), alarm: None }
    }

    fn ask(&mut self, request: Request, now: Moment) -> Asked {
        self.last_id += 1;
        let id = RequestId(self.last_id);
        self.feed(Input::Request(id, request), now);
        while let Output::Answer(answered, outcome) = self.broker.poll_output() {
            if answered == id {
                return Asked::Answered(outcome);
            }
            self.answer(answered, outcome);
        }
        let (sender, answer) = oneshot::channel();
        self.waiting.insert(id, sender);
        Asked::Waits(id, answer)
    }

    fn abandon(&mut self, id: RequestId, now: Moment) {
        if self.waiting.remove(&id).is_some() {
            self.feed(Input::Abandon(id), now);
        }
    }

    /// Gives back what was reserved for somebody who has gone.
    fn give_back(&mut self, queue: &QueueName, reserved: Vec<Delivery>, now: Moment) {
        for Delivery { message, reservation, .. } in reserved {
            let target = Target { message, reservation: Some(reservation) };
            let (queue, delay) = (queue.clone(), Duration::ZERO);
            // It is refused if the lease has ended, and then it is back already.
            let _ = self.ask(Request::Release { queue, target, delay, failed: false }, now);
        }
    }

    fn tick(&mut self, now: Moment) {
        self.alarm = None;
        self.feed(Input::Tick, now);
    }

    fn feed(&mut self, input: Input, now: Moment) {
        taken("broker", self.broker.handle_input(input, now));
    }

    /// Hands out all answers. Says whether something becomes due earlier than was known.
    fn hand_out(&mut self) -> bool {
        loop {
            match self.broker.poll_output() {
                Output::Answer(id, outcome) => self.answer(id, outcome),
                Output::Wait(deadline) => {
                    // An alarm that comes too early does no harm, and is set anew by its tick.
                    let due = deadline.map(|deadline| deadline.at);
                    let is_earlier = due.is_some_and(|due| self.alarm.is_none_or(|at| due < at));
                    if is_earlier {
                        self.alarm = due;
                    }
                    return is_earlier;
                }
            }
        }
    }

    fn answer(&mut self, id: RequestId, outcome: Outcome) {
        if let Some(answer) = self.waiting.remove(&id) {
            // Whoever has gone meanwhile abandons the request next.
            let _ = answer.send(outcome);
        }
    }
}

/// A request that waits. Dropping it abandons the request, and gives back what it has brought.
struct Waits<R: Runtime> {
    id: RequestId,
    queue: Option<QueueName>,
    answer: oneshot::Receiver<Outcome>,
    counter: Arc<Counter<R>>,
}

impl<R: Runtime> Future for Waits<R> {
    type Output = Result<Outcome, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.poll_unpin(context).map(|answer| answer.map_err(|_| lost()))
    }
}

impl<R: Runtime> Drop for Waits<R> {
    fn drop(&mut self) {
        let Waits { id, queue, answer, counter } = self;
        // It fails if nothing works any more, and then nothing was taken along.
        let _ = counter.work(|desk, now| {
            desk.abandon(*id, now);
            if let (Some(queue), Ok(Some(Ok(Answer::Reserved(reserved))))) =
                (queue, answer.try_recv())
            {
                desk.give_back(queue, reserved, now);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use ivy_proto::queue::{Batch, Body, NewMessage};

    use super::*;
    use crate::testing::Tokio;

    fn queue() -> MemoryQueue<Tokio> {
        MemoryQueue::new(Clock::start(), [7; 32])
    }

    fn name() -> QueueName {
        QueueName::new("mail").unwrap()
    }

    fn post() -> QueueOp {
        let message = NewMessage { body: Body::new("hello"), delay: Duration::ZERO };
        QueueOp::Post { queue: name(), messages: Batch::one(message) }
    }

    fn reserve(wait: u64) -> QueueOp {
        let (lease, wait) = (Duration::from_secs(30), Duration::from_secs(wait));
        QueueOp::Reserve { queue: name(), count: 1, lease, wait }
    }

    fn count(reply: Result<QueueReply, Fault>) -> usize {
        match reply {
            Ok(QueueReply::Reserved(reserved)) => reserved.messages.len(),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_reserve_gets_what_is_posted_later() {
        let queue = queue();
        queue.execute(post()).await.unwrap();
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
        let waiting = tokio::spawn(queue.execute(reserve(30)));
        tokio::time::sleep(Duration::from_secs(10)).await;
        queue.execute(post()).await.unwrap();
        assert_eq!(count(waiting.await.unwrap()), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reserve_that_was_given_up_takes_no_message() {
        let queue = queue();
        queue.execute(post()).await.unwrap();
        queue.execute(reserve(0)).await.unwrap();
        let waiting = tokio::spawn(queue.execute(reserve(30)));
        tokio::time::sleep(Duration::from_secs(1)).await;
        waiting.abort();
        assert!(waiting.await.is_err());
        queue.execute(post()).await.unwrap();
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reserve_that_is_given_up_when_it_has_its_answer_gives_that_back() {
        let queue = queue();
        queue.execute(post()).await.unwrap();
        queue.execute(reserve(0)).await.unwrap();
        let mut waiting = queue.execute(reserve(30));
        assert!((&mut waiting).now_or_never().is_none());
        queue.execute(post()).await.unwrap();
        drop(waiting);
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
    }

    #[tokio::test]
    async fn a_refusal_is_a_fault() {
        let fault = queue().execute(QueueOp::Clear { queue: name() }).await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::NoQueue);
    }

    #[tokio::test]
    async fn clones_share_their_messages_and_others_do_not() {
        let queue = queue();
        queue.clone().execute(post()).await.unwrap();
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
        assert!(self::queue().execute(reserve(0)).await.is_err());
    }
}
