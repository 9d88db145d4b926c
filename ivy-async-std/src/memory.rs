//! A queue in this process: the in-memory broker.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_channel::Sender;
use futures_util::future::{BoxFuture, FutureExt};
use ivy_proto::Moment;
use ivy_proto::broker::{Answer, Broker, BrokerConfig, Input, Output, Refusal, Request, RequestId};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};

use crate::backend::Queue;
use crate::clock::Clock;
use crate::driver::{Next, Role, pump, taken};

/// A queue backend in this process, with the behaviour of IronMQ. Its messages live as long as it
/// and its clones.
#[derive(Clone)]
pub(crate) struct MemoryQueue {
    clock: Clock,
    seed: [u8; 32],
    last_request: Arc<AtomicU64>,
    /// Opened by the first request.
    mailbox: Arc<OnceLock<Sender<Mail>>>,
}

#[derive(Debug)]
enum Mail {
    Ask(RequestId, Request, Sender<Result<Answer, Refusal>>),
    Abandon(RequestId),
}

impl MemoryQueue {
    pub(crate) fn new(clock: Clock, seed: [u8; 32]) -> Self {
        MemoryQueue { clock, seed, last_request: Arc::default(), mailbox: Arc::default() }
    }

    #[cfg(test)]
    pub(crate) fn clock(&self) -> Clock {
        self.clock
    }

    fn mailbox(&self) -> &Sender<Mail> {
        self.mailbox.get_or_init(|| {
            let (sender, receiver) = async_channel::unbounded();
            let broker = Broker::new(BrokerConfig::default(), self.seed);
            let role = BrokerRole { broker, askers: HashMap::new() };
            async_std::task::spawn(pump(role, receiver, self.clock));
            sender
        })
    }
}

impl fmt::Debug for MemoryQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryQueue")
    }
}

impl Queue for MemoryQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ironmq()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<'static, Result<QueueReply, Fault>> {
        let mailbox = self.mailbox().clone();
        let id = RequestId(self.last_request.fetch_add(1, Ordering::Relaxed));
        async move {
            let (answer, answered) = async_channel::bounded(1);
            // Without a broker the mail is dropped, and with it the other end of the answer.
            let _ = mailbox.try_send(Mail::Ask(id, op.into(), answer));
            let mut asker = Asker { id, mailbox, waits: true };
            let answer = answered.recv().await;
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
    mailbox: Sender<Mail>,
    waits: bool,
}

impl Drop for Asker {
    fn drop(&mut self) {
        if self.waits {
            let _ = self.mailbox.try_send(Mail::Abandon(self.id));
        }
    }
}

struct BrokerRole {
    broker: Broker,
    askers: HashMap<RequestId, Sender<Result<Answer, Refusal>>>,
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
                        let _ = asker.try_send(answer);
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

    use futures_lite::future::poll_once;
    use ivy_proto::QueueName;
    use ivy_proto::queue::{Batch, Body, NewMessage};

    use super::*;

    fn queue() -> MemoryQueue {
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

    #[async_std::test]
    async fn a_waiting_reserve_gets_what_is_posted_later() {
        let queue = queue();
        queue.execute(post()).await.unwrap();
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
        let mut waiting = queue.execute(reserve(30));
        assert!(poll_once(&mut waiting).await.is_none());
        queue.execute(post()).await.unwrap();
        assert_eq!(count(waiting.await), 1);
    }

    #[async_std::test]
    async fn a_reserve_that_was_given_up_takes_no_message() {
        let queue = queue();
        queue.execute(post()).await.unwrap();
        queue.execute(reserve(0)).await.unwrap();
        let mut waiting = queue.execute(reserve(30));
        assert!(poll_once(&mut waiting).await.is_none());
        drop(waiting);
        queue.execute(post()).await.unwrap();
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
    }

    #[async_std::test]
    async fn a_refusal_is_a_fault() {
        let fault = queue().execute(QueueOp::Clear { queue: name() }).await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::NoQueue);
    }

    #[async_std::test]
    async fn clones_share_their_messages_and_others_do_not() {
        let queue = queue();
        queue.clone().execute(post()).await.unwrap();
        assert_eq!(count(queue.execute(reserve(0)).await), 1);
        let other = MemoryQueue::new(Clock::start(), [7; 32]);
        assert!(other.execute(reserve(0)).await.is_err());
    }
}
