//! Requests to the broker at any time: its replies must be consistent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use ivy_proto::broker::{
    Broker, BrokerConfig, Delivery, Input, Output, Refusal, Request, RequestId, Response, Target,
};
use ivy_proto::queue::{Body, DeadLetterSetting, NewMessage, QueueSettings};
use ivy_proto::{MessageId, Moment, QueueName, ReservationId};

/// The next input. Numbers that name something are taken modulo the number of candidates.
#[derive(Arbitrary, Debug)]
enum Step {
    Pass { millis: u16 },
    ClockBack { millis: u16 },
    Request { id: u8, operation: Operation },
    Abandon { id: u8 },
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Post { queue: u8, count: u8, delay: u8 },
    Reserve { queue: u8, count: u8, lease: u8, wait: u8, delete: bool },
    Delete { target: Claim },
    DeleteMany { targets: [Claim; 2], each: bool },
    Touch { target: Claim, lease: u8 },
    Release { target: Claim, delay: u8, failed: bool },
    Peek { queue: u8 },
    Clear { queue: u8 },
    DeleteQueue { queue: u8 },
    Configure { queue: u8, dead_letters: Option<u8>, most: u8 },
}

/// A client's claim to hold a message.
#[derive(Arbitrary, Debug)]
struct Claim {
    queue: u8,
    message: u8,
    reservation: Option<u8>,
}

/// Lists of requests, stamps and abandoned requests.
///
/// Checks that a message has one holder at a time, and only that one can delete, renew or release
/// it (S4); none appears or vanishes without a reply that reports it (S1); each request gets one
/// reply, deadlines are strictly later (S7), misuse changes nothing, and a broker that is polled at
/// the end produces the same output as one that is polled after each input (S14).
pub fn broker_inputs(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let mut world = World::new();
    for _ in 0..MAX_STEPS {
        if input.is_empty() {
            break;
        }
        let Ok(step) = Step::arbitrary(&mut input) else { break };
        world.take(step);
    }
    world.end();
}

/// So few that no message expires, and that each list runs quickly.
const MAX_STEPS: usize = 300;

const QUEUES: [&str; 3] = ["a", "b", "dead"];

struct World {
    broker: Broker,
    /// The same, polled only at the end.
    unpolled: Broker,
    now: Moment,
    /// Requests without a reply so far.
    open: BTreeMap<RequestId, Request>,
    responses: Vec<(RequestId, Result<Response, Refusal>)>,
    /// The messages that exist, with who holds each until when.
    messages: BTreeMap<MessageId, Option<(ReservationId, Moment)>>,
    /// The contents of a queue that is about to be cleared.
    to_be_cleared: BTreeSet<MessageId>,
    /// All messages that ever existed.
    known: Vec<(MessageId, Option<ReservationId>)>,
}

fn queue(number: u8) -> QueueName {
    QueueName::new(QUEUES[usize::from(number) % QUEUES.len()]).expect("a name")
}

fn seconds(number: u8) -> Duration {
    Duration::from_secs(number.into())
}

impl World {
    fn new() -> Self {
        let broker = || Broker::new(BrokerConfig::default(), [1; 32]);
        World {
            broker: broker(),
            unpolled: broker(),
            now: Moment::EPOCH,
            open: BTreeMap::new(),
            responses: Vec::new(),
            messages: BTreeMap::new(),
            to_be_cleared: BTreeSet::new(),
            known: Vec::new(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pass { millis } => {
                self.now = self.now + Duration::from_millis(millis.into());
                self.feed(Input::Tick, self.now);
            }
            Step::ClockBack { millis } => {
                let back = Duration::from_millis(millis.into()).as_nanos() as u64;
                let earlier = Moment::from_nanos(self.now.as_nanos().saturating_sub(back));
                self.feed(Input::Tick, earlier);
            }
            Step::Request { id, operation } => {
                let request = self.request(operation);
                let id = RequestId(id.into());
                let input = Input::Request(id, request.clone());
                if self.open.contains_key(&id) {
                    return self.misuse(input);
                }
                if let Request::Clear { queue } | Request::DeleteQueue { queue } = &request {
                    self.feed(Input::Tick, self.now);
                    self.to_be_cleared = self.found_in(queue);
                }
                self.open.insert(id, request);
                self.feed(input, self.now);
            }
            Step::Abandon { id } => {
                self.open.remove(&RequestId(id.into()));
                self.feed(Input::Abandon(RequestId(id.into())), self.now);
            }
        }
    }

    fn request(&self, operation: Operation) -> Request {
        match operation {
            Operation::Post { queue: name, count, delay } => Request::Post {
                queue: queue(name),
                messages: (0..count % 8)
                    .map(|_| NewMessage { body: Body::new("body"), delay: seconds(delay) })
                    .collect(),
            },
            Operation::Reserve { queue: name, count, lease, wait, delete } => Request::Reserve {
                queue: queue(name),
                count: count.into(),
                timeout: Some(seconds(lease.max(1))),
                wait: seconds(wait),
                delete,
            },
            Operation::Delete { target } => {
                let (queue, target) = self.target(&target);
                Request::Delete { queue, target }
            }
            Operation::DeleteMany { targets, each } => {
                let name = queue(targets[0].queue);
                let targets = targets.iter().map(|target| self.target(target).1).collect();
                match each {
                    true => Request::DeleteEach { queue: name, targets },
                    false => Request::DeleteMany { queue: name, targets },
                }
            }
            Operation::Touch { target, lease } => {
                let (queue, target) = self.target(&target);
                Request::Touch { queue, target, timeout: Some(seconds(lease.max(1))) }
            }
            Operation::Release { target, delay, failed } => {
                let (queue, target) = self.target(&target);
                Request::Release { queue, target, delay: seconds(delay), failed }
            }
            Operation::Peek { queue: name } => Request::Peek { queue: queue(name), count: 100 },
            Operation::Clear { queue: name } => Request::Clear { queue: queue(name) },
            Operation::DeleteQueue { queue: name } => Request::DeleteQueue { queue: queue(name) },
            Operation::Configure { queue: name, dead_letters, most } => {
                let mut settings = QueueSettings::default();
                settings.dead_letter = dead_letters.map(|dead| DeadLetterSetting {
                    queue: Some(queue(dead)),
                    max_reservations: Some(u32::from(most % 4)),
                });
                Request::PutQueue { queue: queue(name), settings }
            }
        }
    }

    /// A message that once existed, and a reservation of it or of another.
    fn target(&self, claim: &Claim) -> (QueueName, Target) {
        let known = |number: u8| self.known.get(usize::from(number) % self.known.len().max(1));
        let message = known(claim.message).map(|(message, _)| message.clone());
        let reservation = claim.reservation.map(|number| {
            let reservation = known(number).and_then(|(_, reservation)| reservation.clone());
            reservation.unwrap_or_else(|| ReservationId::new("none"))
        });
        let message = message.unwrap_or_else(|| MessageId::new("none"));
        (queue(claim.queue), Target { message, reservation })
    }

    fn misuse(&mut self, input: Input) {
        let later = self.now + Duration::from_secs(3600);
        let before = self.broker.poll_output();
        assert!(self.broker.handle_input(input.clone(), later).is_err());
        assert!(self.unpolled.handle_input(input, later).is_err());
        assert_eq!(self.broker.poll_output(), before, "misuse changed something");
    }

    fn feed(&mut self, input: Input, at: Moment) {
        self.broker.handle_input(input.clone(), at).expect("no misuse");
        self.unpolled.handle_input(input, at).expect("no misuse");
        loop {
            match self.broker.poll_output() {
                Output::Response(id, response) => {
                    self.check(id, &response);
                    self.responses.push((id, response));
                }
                Output::Wait(deadline) => {
                    assert!(deadline.is_none_or(|deadline| deadline.at > self.now));
                    return;
                }
            }
        }
    }

    fn check(&mut self, id: RequestId, response: &Result<Response, Refusal>) {
        let request = self.open.remove(&id).expect("only an open request gets a reply");
        let Ok(response) = response else { return };
        match (request, response) {
            (Request::Post { messages, .. }, Response::Posted(ids)) => {
                assert_eq!(ids.len(), messages.len());
                for id in ids {
                    assert!(self.messages.insert(id.clone(), None).is_none(), "an id twice");
                    self.known.push((id.clone(), None));
                }
            }
            (Request::Reserve { count, timeout, delete, .. }, Response::Reserved(deliveries)) => {
                assert!(deliveries.len() <= count.max(1));
                let until = self.now + timeout.expect("all reserves name one");
                for delivery in deliveries {
                    self.delivered(delivery, until, delete);
                }
            }
            (Request::DeleteEach { targets, .. }, Response::DeletedEach(entries)) => {
                assert_eq!(entries.len(), targets.len());
                for (target, entry) in targets.iter().zip(entries) {
                    if entry.is_ok() {
                        self.deleted(target);
                    }
                }
            }
            (Request::Delete { target, .. }, Response::Deleted) => self.deleted(&target),
            (Request::DeleteMany { targets, .. }, Response::Deleted) => {
                let targets: BTreeMap<_, _> =
                    targets.iter().map(|target| (&target.message, target)).collect();
                targets.values().for_each(|target| self.deleted(target));
            }
            (Request::Touch { target, timeout, .. }, Response::Touched(receipt)) => {
                assert_eq!(self.holder(&target.message), target.reservation.as_ref());
                assert_ne!(Some(&receipt.reservation), target.reservation.as_ref());
                assert_eq!(receipt.message, target.message);
                let until = self.now + timeout.expect("all touches name one");
                self.hold(&target.message, &receipt.reservation, until);
            }
            (Request::Release { target, .. }, Response::Released) => {
                assert_eq!(self.holder(&target.message), target.reservation.as_ref());
                self.messages.insert(target.message, None);
            }
            (Request::Peek { .. }, Response::Peeked(views)) => {
                for view in views {
                    assert!(self.messages.contains_key(&view.message));
                    assert_eq!(self.holder(&view.message), None, "a held message was shown");
                }
            }
            (Request::Clear { .. }, Response::Cleared)
            | (Request::DeleteQueue { .. }, Response::QueueDeleted) => {
                self.messages.retain(|message, _| !self.to_be_cleared.contains(message));
            }
            (Request::PutQueue { .. }, Response::Queue(_)) => {}
            (request, response) => panic!("{response:?} is no reply to {request:?}"),
        }
    }

    /// The message's current holder.
    fn holder(&self, message: &MessageId) -> Option<&ReservationId> {
        let held = self.messages.get(message)?.as_ref();
        held.filter(|(_, until)| *until > self.now).map(|(reservation, _)| reservation)
    }

    fn hold(&mut self, message: &MessageId, reservation: &ReservationId, until: Moment) {
        self.messages.insert(message.clone(), Some((reservation.clone(), until)));
        self.known.push((message.clone(), Some(reservation.clone())));
    }

    fn delivered(&mut self, delivery: &Delivery, until: Moment, delete: bool) {
        assert!(self.messages.contains_key(&delivery.message), "a message that does not exist");
        assert_eq!(self.holder(&delivery.message), None, "a message has two holders");
        if delete {
            self.messages.remove(&delivery.message);
        } else {
            self.hold(&delivery.message, &delivery.reservation, until);
        }
    }

    fn deleted(&mut self, target: &Target) {
        assert_eq!(self.holder(&target.message), target.reservation.as_ref());
        assert!(self.messages.remove(&target.message).is_some(), "the message did not exist");
    }

    /// The messages of this queue.
    fn found_in(&mut self, queue: &QueueName) -> BTreeSet<MessageId> {
        let mut found = BTreeSet::new();
        for message in self.messages.keys().cloned() {
            let request = Request::GetMessage { queue: queue.clone(), message };
            let input = Input::Request(RequestId(u64::MAX), request);
            self.broker.handle_input(input, self.now).expect("no request with this id waits");
            if let Output::Response(_, Ok(Response::Message(view))) = self.broker.poll_output() {
                found.insert(view.message);
            }
        }
        found
    }

    /// Nothing was lost, and polling late loses nothing.
    fn end(mut self) {
        let mut late = Vec::new();
        while let Output::Response(id, response) = self.unpolled.poll_output() {
            late.push((id, response));
        }
        assert_eq!(late, self.responses, "polling late changes something");
        let found = (0..3).flat_map(|name| self.found_in(&queue(name))).collect::<Vec<_>>();
        let distinct: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(distinct.len(), found.len(), "a message is in two queues");
        assert!(distinct.iter().eq(self.messages.keys()), "messages appeared or vanished");
    }
}
