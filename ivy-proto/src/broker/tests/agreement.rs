//! The broker agrees with the reference on any sequence of requests.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::reference::Reference;
use super::scenario::{name, new_message};
use crate::broker::{
    Broker, BrokerConfig, Delivery, Input, Output, Refusal, Request, RequestId, Response, Target,
};
use crate::queue::{DeadLetterSetting, QueueSettings};
use crate::{MessageId, Moment, QueueName, ReservationId};

/// A step of a test.
#[derive(Clone, Debug)]
enum Step {
    /// Lets time pass, without looking at deadlines.
    Pass(Duration),
    /// Lets time pass up to the next deadline.
    PassToDeadline,
    /// Sends a request without a target.
    Request(Request),
    /// Sends a request with a target.
    About(QueueName, Verb, Pick),
    /// All or none, or each that can be deleted.
    DeleteMany(QueueName, Vec<Pick>, bool),
    /// Abandons one of the previous requests.
    Abandon(usize),
}

#[derive(Clone, Debug)]
enum Verb {
    Get,
    Delete,
    Touch(Option<Duration>),
    Release(Duration, bool),
}

/// Chooses a message that was delivered before, and its reservation, another one's, or none.
#[derive(Clone, Debug)]
struct Pick {
    message: usize,
    reservation: Option<usize>,
}

/// One reservation, by its name in the broker and in the reference.
struct Held {
    message: MessageId,
    broker: ReservationId,
    reference: ReservationId,
}

/// The broker and the reference, with the same inputs.
struct Pair {
    broker: Broker,
    reference: Reference,
    now: Moment,
    requests: u64,
    posted: Vec<MessageId>,
    held: Vec<Held>,
}

impl Pair {
    fn new() -> Self {
        Pair {
            broker: Broker::new(BrokerConfig::default(), [3; 32]),
            reference: Reference::default(),
            now: Moment::EPOCH,
            requests: 0,
            posted: vec![MessageId::new("1000000000000000000")],
            held: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(duration) => self.tick(self.now + duration),
            Step::PassToDeadline => {
                let next = self.reference.deadlines().into_iter().min();
                self.tick(next.map_or(self.now, |(at, _)| at));
            }
            Step::Request(request) => self.request(request.clone(), request),
            Step::About(queue, verb, pick) => {
                let (broker, reference) = self.targets(&pick);
                self.request(verb.request(queue.clone(), broker), verb.request(queue, reference));
            }
            Step::DeleteMany(queue, picks, each) => {
                let (broker, reference) = picks.iter().map(|pick| self.targets(pick)).unzip();
                let delete = |queue, targets| match each {
                    true => Request::DeleteEach { queue, targets },
                    false => Request::DeleteMany { queue, targets },
                };
                self.request(delete(queue.clone(), broker), delete(queue, reference));
            }
            Step::Abandon(back) => {
                let id = RequestId(self.requests.saturating_sub(back as u64));
                self.broker.handle_input(Input::Abandon(id), self.now).unwrap();
                self.reference.abandon(id);
                self.compare();
            }
        }
    }

    fn tick(&mut self, now: Moment) {
        self.now = now;
        self.broker.handle_input(Input::Tick, now).unwrap();
        self.reference.tick(now);
        self.compare();
    }

    fn request(&mut self, of_broker: Request, of_reference: Request) {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.broker.handle_input(Input::Request(id, of_broker), self.now).unwrap();
        self.reference.request(id, of_reference);
        self.compare();
    }

    /// Compares everything that can be read without a change.
    fn compare_all(&mut self) {
        for queue in ["a", "b", "c"].map(name) {
            let mut requests = vec![
                Request::GetQueue { queue: queue.clone() },
                Request::Peek { queue: queue.clone(), count: 100 },
            ];
            requests.extend(self.posted.iter().map(|message| Request::GetMessage {
                queue: queue.clone(),
                message: message.clone(),
            }));
            for request in requests {
                self.request(request.clone(), request);
            }
        }
    }

    /// A target, by its names in the broker and in the reference.
    fn targets(&self, pick: &Pick) -> (Target, Target) {
        let held = |index: usize| self.held.get(index % self.held.len().max(1));
        match pick.reservation.and_then(held) {
            Some(reservation) => {
                // Usually the message of that reservation.
                let message = match pick.message {
                    0 => &self.posted[0],
                    _ => &reservation.message,
                };
                let target = |id: &ReservationId| Target {
                    message: message.clone(),
                    reservation: Some(id.clone()),
                };
                (target(&reservation.broker), target(&reservation.reference))
            }
            None => {
                let message = self.posted[pick.message % self.posted.len()].clone();
                let target = Target { message, reservation: None };
                (target.clone(), target)
            }
        }
    }

    fn compare(&mut self) {
        let mut broker = BTreeMap::new();
        let deadline = loop {
            match self.broker.poll_output() {
                Output::Response(id, response) => {
                    assert!(broker.insert(id, response).is_none(), "{id:?} got two responses");
                }
                Output::Wait(deadline) => break deadline,
            }
        };
        let reference: BTreeMap<_, _> = self.reference.responses().into_iter().collect();
        assert_eq!(
            broker.keys().collect::<Vec<_>>(),
            reference.keys().collect::<Vec<_>>(),
            "both responded to the same requests"
        );
        for ((id, broker), (_, reference)) in broker.into_iter().zip(reference) {
            self.learn(&broker, &reference);
            assert_eq!(nameless(broker), nameless(reference), "the response to {id:?}");
        }
        let deadlines = self.reference.deadlines();
        let next = deadlines.iter().map(|(at, _)| *at).min();
        assert_eq!(deadline.map(|deadline| deadline.at), next);
        if let Some(deadline) = deadline {
            assert!(deadlines.contains(&(deadline.at, deadline.why)), "{deadline:?}");
            assert!(deadline.at > self.now, "a deadline must be in the future");
        }
    }

    fn learn(&mut self, broker: &Result<Response, Refusal>, reference: &Result<Response, Refusal>) {
        match (broker, reference) {
            (Ok(Response::Posted(ids)), _) => self.posted.extend(ids.iter().cloned()),
            (Ok(Response::PostedEach(entries)), _) => {
                self.posted.extend(entries.iter().flatten().cloned());
            }
            (Ok(Response::Reserved(broker)), Ok(Response::Reserved(reference))) => {
                self.held.extend(broker.iter().zip(reference).map(|(broker, reference)| Held {
                    message: broker.message.clone(),
                    broker: broker.reservation.clone(),
                    reference: reference.reservation.clone(),
                }));
            }
            (Ok(Response::Touched(broker)), Ok(Response::Touched(reference))) => {
                self.held.push(Held {
                    message: broker.message.clone(),
                    broker: broker.reservation.clone(),
                    reference: reference.reservation.clone(),
                })
            }
            _ => {}
        }
    }
}

impl Verb {
    fn request(&self, queue: QueueName, target: Target) -> Request {
        match *self {
            Verb::Get => Request::GetMessage { queue, message: target.message },
            Verb::Delete => Request::Delete { queue, target },
            Verb::Touch(timeout) => Request::Touch { queue, target, timeout },
            Verb::Release(delay, failed) => Request::Release { queue, target, delay, failed },
        }
    }
}

/// The response without what the two name differently: reservations, and the texts of refusals.
fn nameless(response: Result<Response, Refusal>) -> Result<Response, Refusal> {
    let none = || ReservationId::new("");
    match response {
        Ok(Response::Reserved(deliveries)) => Ok(Response::Reserved(
            deliveries
                .into_iter()
                .map(|delivery| Delivery { reservation: none(), ..delivery })
                .collect(),
        )),
        Ok(Response::Touched(receipt)) => {
            Ok(Response::Touched(crate::Receipt { reservation: none(), ..receipt }))
        }
        Err(Refusal::Invalid(_)) => Err(Refusal::Invalid("")),
        other => other,
    }
}

fn queue() -> impl Strategy<Value = QueueName> + Clone {
    prop_oneof![4 => Just("a"), 2 => Just("b"), 1 => Just("c")].prop_map(name)
}

/// Few distinct durations, so that many events coincide.
fn seconds() -> impl Strategy<Value = Duration> + Clone {
    (1u64..6).prop_map(Duration::from_secs)
}

fn perhaps_seconds() -> impl Strategy<Value = Duration> + Clone {
    (0u64..6).prop_map(Duration::from_secs)
}

fn settings() -> impl Strategy<Value = QueueSettings> {
    let rule = (proptest::option::of(queue()), proptest::option::of(1u32..3))
        .prop_map(|(queue, max_reservations)| DeadLetterSetting { queue, max_reservations });
    let reservable = prop_oneof![
        10 => Just(None),
        1 => Just(Some(true)),
    ];
    let seconds = || proptest::option::of(seconds());
    (reservable, seconds(), seconds(), proptest::option::of(rule)).prop_map(
        |(reservable, message_timeout, message_expiration, dead_letter)| QueueSettings {
            reservable,
            message_timeout,
            message_expiration,
            dead_letter,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let message = (0u32..1000, perhaps_seconds())
        .prop_map(|(body, delay)| new_message(&body.to_string(), delay));
    let reserve = (queue(), 1usize..4, proptest::option::of(seconds()), perhaps_seconds(), 0..4);
    prop_oneof![
        3 => (queue(), vec(message.clone(), 1..4))
            .prop_map(|(queue, messages)| Request::Post { queue, messages }),
        3 => (queue(), vec(message, 1..4))
            .prop_map(|(queue, messages)| Request::PostEach { queue, messages }),
        8 => reserve.prop_map(|(queue, count, timeout, wait, delete)| Request::Reserve {
            queue, count, timeout, wait, delete: delete == 0,
        }),
        2 => (queue(), 1usize..4).prop_map(|(queue, count)| Request::Peek { queue, count }),
        2 => (queue(), settings())
            .prop_map(|(queue, settings)| Request::PutQueue { queue, settings }),
        1 => (queue(), settings())
            .prop_map(|(queue, settings)| Request::PatchQueue { queue, settings }),
        2 => queue().prop_map(|queue| Request::GetQueue { queue }),
        1 => queue().prop_map(|queue| Request::Clear { queue }),
        1 => queue().prop_map(|queue| Request::DeleteQueue { queue }),
        1 => ("[a-c]?", "[a-c]?", 1usize..4).prop_map(|(prefix, previous, per_page)| {
            Request::ListQueues { prefix, previous, per_page }
        }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let pick = || {
        (0usize..1000, proptest::option::weighted(0.8, 0usize..1000))
            .prop_map(|(message, reservation)| Pick { message, reservation })
    };
    let verb = prop_oneof![
        Just(Verb::Get),
        Just(Verb::Delete),
        proptest::option::of(seconds()).prop_map(Verb::Touch),
        (perhaps_seconds(), any::<bool>()).prop_map(|(delay, failed)| Verb::Release(delay, failed)),
    ];
    prop_oneof![
        2 => (0u64..8).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
        2 => Just(Step::PassToDeadline),
        10 => request().prop_map(Step::Request),
        6 => (queue(), verb, pick()).prop_map(|(queue, verb, pick)| Step::About(queue, verb, pick)),
        2 => (queue(), vec(pick(), 1..4), any::<bool>())
            .prop_map(|(queue, picks, each)| Step::DeleteMany(queue, picks, each)),
        1 => (0usize..10).prop_map(Step::Abandon),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_broker_agrees_with_the_reference(steps in vec(step(), 1..120)) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
        }
        pair.compare_all();
    }
}
