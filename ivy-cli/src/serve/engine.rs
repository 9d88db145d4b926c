//! The task that owns the state. Connections hand their calls in, and wait for the answers.

use std::collections::HashMap;
use std::future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ivy_proto::Moment;
use ivy_proto::broker::{Answer, BrokerConfig, Request, RequestId};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::call::Call;
use super::failure::Failure;
use super::state::{Next, Outcome, Reply, State};

/// Where calls are handed in. The task behind it ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    // A connection has at most one call in here, so their number is bounded by the connections.
    mailbox: UnboundedSender<Mail>,
    last_id: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Mail {
    Call(RequestId, Call, oneshot::Sender<Outcome>),
    /// Nobody waits for this answer any more.
    Abandon(RequestId),
    /// From now on nothing waits.
    Close,
}

impl Engine {
    /// Starts the task.
    pub(crate) fn start(config: BrokerConfig, seed: [u8; 32]) -> Self {
        let (mailbox, mails) = mpsc::unbounded_channel();
        tokio::spawn(Clerk::new(State::new(config, seed)).work(mails));
        Engine { mailbox, last_id: Arc::default() }
    }

    /// Asks. The answer comes later; a caller that drops it has gone, and the call is abandoned if
    /// it still waits.
    pub(crate) fn call(&self, call: Call) -> Pending {
        // Numbers start at one: the state uses zero itself.
        let id = RequestId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let (sender, answer) = oneshot::channel();
        // If the task has ended, the answer's channel is closed with it, and that is noticed.
        let _ = self.mailbox.send(Mail::Call(id, call, sender));
        Pending { id, mailbox: self.mailbox.clone(), answer }
    }

    /// Ends all waiting: long polls are answered with nothing, now and later.
    pub(crate) fn close(&self) {
        // It fails if the task has ended, and then nothing waits.
        let _ = self.mailbox.send(Mail::Close);
    }
}

/// The answer to a call, when it comes.
#[derive(Debug)]
pub(crate) struct Pending {
    id: RequestId,
    mailbox: UnboundedSender<Mail>,
    answer: oneshot::Receiver<Outcome>,
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let answer = Pin::new(&mut self.answer).poll(context);
        answer.map(|answer| answer.unwrap_or_else(|_| Err(Failure::internal())))
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.answer.is_terminated() {
            let _ = self.mailbox.send(Mail::Abandon(self.id));
        }
    }
}

/// Works for all connections, one call after another.
struct Clerk {
    state: State,
    started: Instant,
    waiting: HashMap<RequestId, oneshot::Sender<Outcome>>,
    closing: bool,
}

impl Clerk {
    fn new(state: State) -> Self {
        Clerk { state, started: Instant::now(), waiting: HashMap::new(), closing: false }
    }

    async fn work(mut self, mut mails: UnboundedReceiver<Mail>) {
        loop {
            let deadline = self.deliver();
            tokio::select! {
                // The state does what is due at every input, so mail may well come first.
                biased;
                mail = mails.recv() => match mail {
                    Some(mail) => self.handle(mail),
                    None => return,
                },
                () = until(deadline) => self.state.tick(self.now()),
            }
        }
    }

    fn handle(&mut self, mail: Mail) {
        match mail {
            Mail::Call(id, mut call, answer) => {
                if let Call::Broker(Request::Reserve { wait, .. }) = &mut call
                    && self.closing
                {
                    *wait = Duration::ZERO;
                }
                self.waiting.insert(id, answer);
                self.state.call(id, call, self.now());
            }
            Mail::Abandon(id) => {
                if self.waiting.remove(&id).is_some() {
                    self.state.abandon(id, self.now());
                }
            }
            Mail::Close => {
                self.closing = true;
                let now = self.now();
                for (id, answer) in self.waiting.drain() {
                    self.state.abandon(id, now);
                    // Only reserves wait, and a reserve may always bring nothing.
                    let _ = answer.send(Ok(Reply::Answer(Answer::Reserved(Vec::new()))));
                }
            }
        }
    }

    /// Hands out all answers. Returns when the state wants to be called next.
    fn deliver(&mut self) -> Option<Instant> {
        loop {
            match self.state.poll() {
                Next::Answer(id, outcome) => {
                    if let Some(answer) = self.waiting.remove(&id) {
                        // A caller who has just gone cannot be told.
                        let _ = answer.send(outcome);
                    }
                }
                Next::Wait(deadline) => return deadline.map(|deadline| self.instant(deadline.at)),
            }
        }
    }

    fn now(&self) -> Moment {
        Moment::after_epoch(self.started.elapsed())
    }

    fn instant(&self, moment: Moment) -> Instant {
        self.started + moment.since(Moment::EPOCH)
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
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
        engine.call(Call::UpdateQueue { queue: queue(), update, verb }).await.unwrap();
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
        assert_eq!(messages(engine.call(reserve(20 * SECOND)).await), 0);
        assert_eq!(started.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_reserve_gets_a_delayed_message_in_time() {
        let engine = engine();
        engine.call(post(10 * SECOND)).await.unwrap();
        let started = Instant::now();
        assert_eq!(messages(engine.call(reserve(20 * SECOND)).await), 1);
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_while_waiting_takes_no_message_along() {
        let engine = engine();
        make_queue(&engine).await;
        drop(engine.call(reserve(20 * SECOND)));
        engine.call(post(Duration::ZERO)).await.unwrap();
        assert_eq!(messages(engine.call(reserve(Duration::ZERO)).await), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_in_an_engine_that_was_closed() {
        let engine = engine();
        make_queue(&engine).await;
        let waiting = engine.call(reserve(20 * SECOND));
        let started = Instant::now();
        engine.close();
        assert_eq!(messages(waiting.await), 0);
        assert_eq!(messages(engine.call(reserve(20 * SECOND)).await), 0);
        assert_eq!(started.elapsed(), Duration::ZERO);
        // All else goes on until the connections have ended.
        engine.call(post(Duration::ZERO)).await.unwrap();
        assert_eq!(messages(engine.call(reserve(20 * SECOND)).await), 1);
    }
}
