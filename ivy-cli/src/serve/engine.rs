//! The task that owns the state. Connections hand their calls in, and wait for the answers.

use std::collections::HashMap;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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

    /// Asks, and waits for the answer. A caller that drops the future has gone: its call is
    /// abandoned if it still waits.
    pub(crate) async fn call(&self, call: Call) -> Outcome {
        // Numbers start at one: the state uses zero itself.
        let id = RequestId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let (sender, answer) = oneshot::channel();
        let mut asked = Asked { id, mailbox: &self.mailbox, answered: false };
        asked.send(Mail::Call(id, call, sender));
        let outcome = answer.await;
        asked.answered = true;
        outcome.unwrap_or_else(|_| Err(Failure::internal()))
    }

    /// Ends all waiting: long polls are answered with nothing, now and later.
    pub(crate) fn close(&self) {
        // It fails if the task has ended, and then nothing waits.
        let _ = self.mailbox.send(Mail::Close);
    }
}

/// A call that was handed in.
struct Asked<'a> {
    id: RequestId,
    mailbox: &'a UnboundedSender<Mail>,
    answered: bool,
}

impl Asked<'_> {
    fn send(&self, mail: Mail) {
        // If the task has ended, the answer's channel is closed with it, and that is noticed.
        let _ = self.mailbox.send(mail);
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.send(Mail::Abandon(self.id));
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
