//! The state behind a lock. Each connection works on it itself, and waits where its answer waits.
//!
//! A request costs no switch to another task and back, which would take longer than what is done
//! for most.

use std::collections::HashMap;
use std::future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use ivy_proto::Moment;
use ivy_proto::broker::{Answer, BrokerConfig, Request, RequestId};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::call::Call;
use super::failure::Failure;
use super::state::{Next, Outcome, Reply, State};

/// Where calls are handed in.
#[derive(Debug)]
pub(crate) struct Engine {
    shared: Arc<Shared>,
    /// Does what becomes due while nobody asks.
    alarm: JoinHandle<()>,
}

impl Engine {
    /// Starts it in the current runtime.
    pub(crate) fn start(config: BrokerConfig, seed: [u8; 32]) -> Self {
        let desk = Mutex::new(Desk::new(State::new(config, seed)));
        let shared = Arc::new(Shared { desk, earlier: Notify::new() });
        let alarm = tokio::spawn(Arc::clone(&shared).keep_time());
        Engine { shared, alarm }
    }

    /// Asks. Most answers are there at once. A caller that drops one that waits has gone, and the
    /// call is abandoned.
    pub(crate) fn call(&self, call: Call) -> Asked {
        match self.shared.work(|desk| desk.call(call)) {
            Ok(Ok(outcome)) => Asked::Answered(outcome),
            Ok(Err((id, answer))) => {
                Asked::Waits(Waits { id, answer, shared: Arc::clone(&self.shared) })
            }
            Err(failure) => Asked::Answered(Err(failure)),
        }
    }

    /// Ends all waiting: long polls are answered with nothing, now and later.
    pub(crate) fn close(&self) {
        // It fails if nothing works any more, and then nothing waits.
        let _ = self.shared.work(Desk::close);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.alarm.abort();
    }
}

/// What has become of a call so far.
#[derive(Debug)]
pub(crate) enum Asked {
    /// The answer.
    Answered(Outcome),
    /// It is still to come.
    Waits(Waits),
}

/// A call that waits. Thousands do, so it keeps nothing that can be had when it ends.
#[derive(Debug)]
pub(crate) struct Waits {
    id: RequestId,
    answer: oneshot::Receiver<Box<Outcome>>,
    shared: Arc<Shared>,
}

impl Waits {
    /// Ends the wait: with the answer if it has come meanwhile, or else with that of a reserve that
    /// brings nothing.
    pub(crate) fn end(&mut self) -> Outcome {
        self.shared.work(|desk| desk.abandon(self.id))?;
        self.answer.try_recv().map_or_else(|_| nothing(), |outcome| *outcome)
    }
}

impl Future for Waits {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let answer = Pin::new(&mut self.answer).poll(context);
        answer.map(|answer| answer.map_or_else(|_| Err(Failure::internal()), |outcome| *outcome))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if !self.answer.is_terminated() {
            // It fails if nothing works any more, and then nothing was taken along.
            let _ = self.shared.work(|desk| desk.abandon(self.id));
        }
    }
}

/// What the connections share.
#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    /// Something becomes due earlier than the alarm was set to.
    earlier: Notify,
}

impl Shared {
    /// Works at the desk, and hands out the answers that others wait for.
    fn work<T>(&self, work: impl FnOnce(&mut Desk) -> T) -> Result<T, Failure> {
        let mut desk = self.desk()?;
        let result = work(&mut desk);
        if desk.deliver() {
            self.earlier.notify_one();
        }
        Ok(result)
    }

    /// Fails for good once a call was broken off by a panic, since nobody knows how far it had come.
    fn desk(&self) -> Result<MutexGuard<'_, Desk>, Failure> {
        self.desk.lock().map_err(|_| Failure::internal())
    }

    async fn keep_time(self: Arc<Self>) {
        loop {
            let Ok(alarm) = self.desk().map(|desk| desk.alarm) else { return };
            tokio::select! {
                () = self.earlier.notified() => {}
                () = until(alarm) => drop(self.work(Desk::tick)),
            }
        }
    }
}

/// Where one call after another is worked on.
#[derive(Debug)]
struct Desk {
    state: State,
    started: Instant,
    last_id: u64,
    waiting: HashMap<RequestId, oneshot::Sender<Box<Outcome>>>,
    closing: bool,
    /// When something becomes due, at the earliest.
    alarm: Option<Instant>,
}

impl Desk {
    fn new(state: State) -> Self {
        let (started, waiting) = (Instant::now(), HashMap::new());
        Desk { state, started, last_id: 0, waiting, closing: false, alarm: None }
    }

    /// The answer to a call, or what it comes by.
    #[allow(clippy::type_complexity, reason = "it is taken apart at once")]
    fn call(
        &mut self,
        mut call: Call,
    ) -> Result<Outcome, (RequestId, oneshot::Receiver<Box<Outcome>>)> {
        if let Call::Broker(Request::Reserve { wait, .. }) = &mut call
            && self.closing
        {
            *wait = Duration::ZERO;
        }
        // Numbers start at one: the state uses zero itself.
        self.last_id += 1;
        let id = RequestId(self.last_id);
        self.state.call(id, call, self.now());
        while let Next::Answer(answered, outcome) = self.state.poll() {
            if answered == id {
                return Ok(outcome);
            }
            self.answer(answered, outcome);
        }
        let (sender, answer) = oneshot::channel();
        self.waiting.insert(id, sender);
        Err((id, answer))
    }

    fn abandon(&mut self, id: RequestId) {
        if self.waiting.remove(&id).is_some() {
            self.state.abandon(id, self.now());
        }
    }

    fn close(&mut self) {
        self.closing = true;
        let now = self.now();
        for (id, answer) in self.waiting.drain() {
            self.state.abandon(id, now);
            let _ = answer.send(Box::new(nothing()));
        }
    }

    fn tick(&mut self) {
        self.alarm = None;
        self.state.tick(self.now());
    }

    /// Hands out all answers. Says whether something becomes due earlier than was known.
    fn deliver(&mut self) -> bool {
        loop {
            match self.state.poll() {
                Next::Answer(id, outcome) => self.answer(id, outcome),
                Next::Wait(None) => return false,
                Next::Wait(Some(deadline)) => {
                    let due = self.started + deadline.at.since(Moment::EPOCH);
                    // An alarm that comes too early does no harm, and is set anew by the next tick.
                    let is_earlier = self.alarm.is_none_or(|alarm| due < alarm);
                    if is_earlier {
                        self.alarm = Some(due);
                    }
                    return is_earlier;
                }
            }
        }
    }

    fn answer(&mut self, id: RequestId, outcome: Outcome) {
        if let Some(answer) = self.waiting.remove(&id) {
            // A caller who has just gone cannot be told.
            let _ = answer.send(Box::new(outcome));
        }
    }

    fn now(&self) -> Moment {
        Moment::after_epoch(self.started.elapsed())
    }
}

/// What may always be answered to what waits, since only reserves do.
fn nothing() -> Outcome {
    Ok(Reply::Answer(Answer::Reserved(Vec::new())))
}

async fn until(alarm: Option<Instant>) {
    match alarm {
        Some(alarm) => tokio::time::sleep_until(alarm).await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use ivy_proto::QueueName;
    use ivy_proto::queue::{Body, NewMessage};

    use super::super::call::UpdateVerb;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn engine() -> Engine {
        Engine::start(BrokerConfig::default(), [7; 32])
    }

    /// The answer, when it comes.
    async fn outcome(asked: Asked) -> Outcome {
        match asked {
            Asked::Answered(outcome) => outcome,
            Asked::Waits(waits) => waits.await,
        }
    }

    fn queue() -> QueueName {
        QueueName::new("q").unwrap()
    }

    fn post(delay: Duration) -> Call {
        let message = NewMessage { body: Body::new("hello"), delay };
        Call::Broker(Request::Post { queue: queue(), messages: vec![message] })
    }

    fn reserve(wait: Duration) -> Call {
        let (queue, count) = (queue(), 1);
        Call::Broker(Request::Reserve { queue, count, timeout: None, wait, delete: false })
    }

    /// Makes the queue, without a message.
    async fn make_queue(engine: &Engine) {
        let update = Box::default();
        let verb = UpdateVerb::Put;
        outcome(engine.call(Call::UpdateQueue { queue: queue(), update, verb })).await.unwrap();
    }

    fn messages(outcome: Outcome) -> usize {
        match outcome {
            Ok(Reply::Answer(Answer::Reserved(deliveries))) => deliveries.len(),
            other => panic!("not an answer to a reserve: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_reserve_is_answered_when_its_time_is_over() {
        let engine = engine();
        make_queue(&engine).await;
        let started = Instant::now();
        assert_eq!(messages(outcome(engine.call(reserve(20 * SECOND))).await), 0);
        assert_eq!(started.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_reserve_gets_a_delayed_message_in_time() {
        let engine = engine();
        outcome(engine.call(post(10 * SECOND))).await.unwrap();
        let started = Instant::now();
        assert_eq!(messages(outcome(engine.call(reserve(20 * SECOND))).await), 1);
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_while_waiting_takes_no_message_along() {
        let engine = engine();
        make_queue(&engine).await;
        drop(engine.call(reserve(20 * SECOND)));
        outcome(engine.call(post(Duration::ZERO))).await.unwrap();
        assert_eq!(messages(outcome(engine.call(reserve(Duration::ZERO))).await), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_ended_takes_no_message_along_and_loses_none_that_came() {
        let engine = engine();
        make_queue(&engine).await;
        let Asked::Waits(mut waits) = engine.call(reserve(20 * SECOND)) else { panic!("answered") };
        assert_eq!(messages(waits.end()), 0);
        let Asked::Waits(mut waits) = engine.call(reserve(20 * SECOND)) else { panic!("answered") };
        outcome(engine.call(post(Duration::ZERO))).await.unwrap();
        assert_eq!(messages(waits.end()), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_in_an_engine_that_was_closed() {
        let engine = engine();
        make_queue(&engine).await;
        let waiting = engine.call(reserve(20 * SECOND));
        let started = Instant::now();
        engine.close();
        assert_eq!(messages(outcome(waiting).await), 0);
        assert_eq!(messages(outcome(engine.call(reserve(20 * SECOND))).await), 0);
        assert_eq!(started.elapsed(), Duration::ZERO);
        // All else goes on until the connections have ended.
        outcome(engine.call(post(Duration::ZERO))).await.unwrap();
        assert_eq!(messages(outcome(engine.call(reserve(20 * SECOND))).await), 1);
    }
}
