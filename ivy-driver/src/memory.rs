//! A queue in this process: the in-memory broker.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use futures_channel::mpsc::{self, UnboundedSender};
use futures_channel::oneshot;
use futures_util::future::{BoxFuture, FutureExt};
use ivy_proto::Moment;
use ivy_proto::broker::{Answer, Broker, BrokerConfig, Input, Output, Refusal, Request, RequestId};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};

use crate::backend::Queue;
use crate::clock::Clock;
use crate::pump::{Next, Role, pump, taken};
use crate::runtime::Runtime;

/// A queue backend in this process, with the behaviour of IronMQ. Its messages live as long as it
/// and its clones.
pub(crate) struct MemoryQueue<R> {
    clock: Clock<R>,
    seed: [u8; 32],
    last_request: Arc<AtomicU64>,
    /// Opened by the first request, which is the first to need a runtime.
    mailbox: Arc<OnceLock<UnboundedSender<Mail>>>,
}

#[derive(Debug)]
enum Mail {
    Ask(RequestId, Request, oneshot::Sender<Result<Answer, Refusal>>),
    Abandon(RequestId),
}

impl<R: Runtime> MemoryQueue<R> {
    pub(crate) fn new(clock: Clock<R>, seed: [u8; 32]) -> Self {
        MemoryQueue { clock, seed, last_request: Arc::default(), mailbox: Arc::default() }
    }

    #[cfg(test)]
    pub(crate) fn clock(&self) -> Clock<R> {
        self.clock
    }

    fn mailbox(&self) -> &UnboundedSender<Mail> {
        self.mailbox.get_or_init(|| {
            let (sender, receiver) = mpsc::unbounded();
            let broker = Broker::new(BrokerConfig::default(), self.seed);
            let role = BrokerRole { broker, askers: HashMap::new() };
            if let Err(error) = R::spawn("ivy-memory", pump(role, receiver, self.clock)) {
                // Every request will be told that its answer is lost.
                tracing::error!(%error, "the queue in memory cannot be started");
            }
            sender
        })
    }
}

impl<R> Clone for MemoryQueue<R> {
    fn clone(&self) -> Self {
        let MemoryQueue { clock, seed, last_request, mailbox } = self;
        let (last_request, mailbox) = (Arc::clone(last_request), Arc::clone(mailbox));
        MemoryQueue { clock: *clock, seed: *seed, last_request, mailbox }
    }
}

impl<R> fmt::Debug for MemoryQueue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryQueue")
    }
}

impl<R: Runtime> Queue for MemoryQueue<R> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::broker()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<'static, Result<QueueReply, Fault>> {
        let mailbox = self.mailbox().clone();
        let id = RequestId(self.last_request.fetch_add(1, Ordering::Relaxed));
        async move {
            let (answer, answered) = oneshot::channel();
            // Without a broker the mail is dropped, and with it the other end of the answer.
            let _ = mailbox.unbounded_send(Mail::Ask(id, op.into(), answer));
            let mut asker = Asker { id, mailbox, waits: true };
            let answer = answered.await;
            asker.waits = false;
            let answer = answer.map_err(|_| Fault::new(FaultKind::AnswerLost))?;
            Ok(answer?.into())
        }
        .boxed()
    }
}

/// Tells the broker if nobody waits for an answer any more.
struct Asker {
    id: RequestId,
    mailbox: UnboundedSender<Mail>,
    waits: bool,
}

impl Drop for Asker {
    fn drop(&mut self) {
        if self.waits {
            let _ = self.mailbox.unbounded_send(Mail::Abandon(self.id));
        }
    }
}

struct BrokerRole {
    broker: Broker,
    askers: HashMap<RequestId, oneshot::Sender<Result<Answer, Refusal>>>,
}

impl BrokerRole {
    fn feed(&mut self, input: Input, now: Moment) {
        taken("broker", self.broker.handle_input(input, now));
    }
}

impl Role for BrokerRole {
    type Mail = Mail;

    fn handle(&mut self, mail: Mail, now: Moment) {
        match mail {
            Mail::Ask(id, request, asker) => {
                self.askers.insert(id, asker);
                self.feed(Input::Request(id, request), now);
            }
            Mail::Abandon(id) => {
                self.askers.remove(&id);
                self.feed(Input::Abandon(id), now);
            }
        }
    }

    fn tick(&mut self, now: Moment) {
        self.feed(Input::Tick, now);
    }

    fn carry_out(&mut self) -> Next {
        loop {
            match self.broker.poll_output() {
                Output::Answer(id, answer) => {
                    if let Some(asker) = self.askers.remove(&id) {
                        // Whoever has gone meanwhile abandons the request by mail.
                        let _ = asker.send(answer);
                    }
                }
                Output::Wait(deadline) => return Next::Wait(deadline.map(|deadline| deadline.at)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ivy_proto::QueueName;
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
