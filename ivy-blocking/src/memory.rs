//! A queue in this process: the in-memory broker.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock};

use ivy_proto::Moment;
use ivy_proto::broker::{self, Broker, BrokerConfig, Input, Output, Request, RequestId};
use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};

use crate::backend::{Answer, Queue, QueueResult};
use crate::cancel::CancellationToken;
use crate::clock::Clock;
use crate::driver::{Next, Role, pump, taken};
use crate::threads::spawn;

/// A queue backend in this process, with the behaviour of IronMQ. Its messages live as long as it
/// and its clones.
#[derive(Clone)]
pub(crate) struct MemoryQueue {
    clock: Clock,
    seed: [u8; 32],
    last_request: Arc<AtomicU64>,
    /// Opened by the first request, with the thread that answers.
    mailbox: Arc<OnceLock<Sender<Mail>>>,
}

#[derive(Debug)]
enum Mail {
    Ask(RequestId, Request, Answer<QueueResult>),
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
            let (sender, receiver) = mpsc::channel();
            let broker = Broker::new(BrokerConfig::default(), self.seed);
            let (role, clock) = (BrokerRole { broker, askers: HashMap::new() }, self.clock);
            if let Err(error) = spawn("ivy-memory", move || pump(role, &receiver, clock)) {
                // Every request will be told that its answer is lost.
                tracing::error!(%error, "the thread of the queue in memory cannot be started");
            }
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

    fn execute(&self, op: QueueOp, given_up: &CancellationToken, answer: Answer<QueueResult>) {
        let mailbox = self.mailbox().clone();
        let id = RequestId(self.last_request.fetch_add(1, Ordering::Relaxed));
        // Without a broker the mail is dropped, and the answer with it.
        let _ = mailbox.send(Mail::Ask(id, op.into(), answer));
        given_up.on_cancel(move || {
            let _ = mailbox.send(Mail::Abandon(id));
        });
    }
}

struct BrokerRole {
    broker: Broker,
    askers: HashMap<RequestId, Answer<QueueResult>>,
}

impl BrokerRole {
    fn feed(&mut self, input: Input, now: Moment) {
        taken("broker", self.broker.handle_input(input, now));
    }

    fn answer(&mut self, id: RequestId, answer: Result<broker::Answer, broker::Refusal>) {
        if let Some(asker) = self.askers.remove(&id) {
            asker.give(answer.map(QueueReply::from).map_err(Fault::from));
        }
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
                Output::Answer(id, answer) => self.answer(id, answer),
                Output::Wait(deadline) => return Next::Wait(deadline.map(|deadline| deadline.at)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ivy_proto::QueueName;
    use ivy_proto::queue::{Batch, Body, FaultKind, NewMessage};

    use super::*;
    use crate::backend::ask;

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

    fn count(reply: QueueResult) -> usize {
        match reply {
            Ok(QueueReply::Reserved(reserved)) => reserved.messages.len(),
            other => panic!("{other:?}"),
        }
    }

    /// A reserve that waits, with its answer.
    fn waiting(queue: &MemoryQueue) -> (CancellationToken, mpsc::Receiver<QueueResult>) {
        let (sender, answer) = mpsc::channel();
        let given_up = CancellationToken::new();
        let answer_to = Answer::of_queue(move |answer| sender.send(answer).unwrap());
        queue.execute(reserve(30), &given_up, answer_to);
        (given_up, answer)
    }

    #[test]
    fn a_waiting_reserve_gets_what_is_posted_later() {
        let queue = queue();
        ask(&queue, post()).unwrap();
        assert_eq!(count(ask(&queue, reserve(0))), 1);
        let (_given_up, answer) = waiting(&queue);
        ask(&queue, post()).unwrap();
        assert_eq!(count(answer.recv().unwrap()), 1);
    }

    #[test]
    fn a_reserve_that_was_given_up_takes_no_message() {
        let queue = queue();
        ask(&queue, post()).unwrap();
        ask(&queue, reserve(0)).unwrap();
        let (given_up, answer) = waiting(&queue);
        given_up.cancel();
        ask(&queue, post()).unwrap();
        assert_eq!(count(ask(&queue, reserve(0))), 1);
        assert_eq!(answer.recv().unwrap().unwrap_err().kind(), FaultKind::AnswerLost);
    }

    #[test]
    fn a_refusal_is_a_fault() {
        let fault = ask(&queue(), QueueOp::Clear { queue: name() }).unwrap_err();
        assert_eq!(fault.kind(), FaultKind::NoQueue);
    }

    #[test]
    fn clones_share_their_messages_and_others_do_not() {
        let queue = queue();
        ask(&queue.clone(), post()).unwrap();
        assert_eq!(count(ask(&queue, reserve(0))), 1);
        assert!(ask(&self::queue(), reserve(0)).is_err());
    }
}
