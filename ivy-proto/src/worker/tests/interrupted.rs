//! Interrupted tasks: which interruptions count against them, on a queue with exact counts and on
//! one whose count includes renewals.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scenario::*;
use crate::broker::{self, Broker, BrokerConfig, Request, RequestId, Response};
use crate::event::Event;
use crate::id::OpId;
use crate::queue::{Body, DeliveryCount, Fault, NewMessage, QueueReply};
use crate::time::{Moment, WallClock};
use crate::wire::{DeadLetter, DeadLetterReason, RawJson};
use crate::worker::{Input, JobOutcome, Output, Run, Worker};

const LEASE: Duration = Duration::from_secs(30);
/// Long enough for more than a hundred renewals.
const HOURS: Duration = Duration::from_secs(3 * 3600);

/// How the queue counts deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    Exact,
    /// The count includes renewals and releases.
    UpperBound,
}

const BOTH: [Counts; 2] = [Counts::Exact, Counts::UpperBound];

/// One queue, and one worker after another.
struct Fixture {
    counts: Counts,
    now: Moment,
    broker: Broker,
    worker: Worker,
    lives: u64,
    in_flight: BTreeMap<RequestId, (u64, OpId)>,
    requests: u64,
    runs: Vec<Run>,
    events: Vec<Event>,
    finished: bool,
}

impl Fixture {
    fn new(counts: Counts, body: &str) -> Self {
        let mut fixture = Fixture {
            counts,
            now: Moment::EPOCH,
            broker: Broker::new(BrokerConfig::default(), [3; 32]),
            worker: worker(0),
            lives: 0,
            in_flight: BTreeMap::new(),
            requests: 0,
            runs: Vec::new(),
            events: Vec::new(),
            finished: false,
        };
        let message = NewMessage { body: Body::new(body), delay: Duration::ZERO };
        fixture.request(Request::Post { queue: queue(), messages: vec![message] });
        fixture.feed(Input::Tick);
        fixture
    }

    /// Sends the broker a request to which it replies immediately.
    fn request(&mut self, request: Request) -> Response {
        let id = RequestId(u64::MAX);
        self.broker.handle_input(broker::Input::Request(id, request), self.now).unwrap();
        let mut response = None;
        while let broker::Output::Response(responded, outcome) = self.broker.poll_output() {
            if responded == id {
                response = Some(outcome.unwrap());
            } else {
                self.on_reply(responded, outcome.map(|response| self.reply(response)));
            }
        }
        response.unwrap()
    }

    fn reply(&self, response: Response) -> QueueReply {
        let counts: Vec<u32> = match &response {
            Response::Reserved(deliveries) => {
                deliveries.iter().map(|delivery| delivery.reserved_count).collect()
            }
            _ => Vec::new(),
        };
        let mut reply = response.into();
        if let (QueueReply::Reserved(reserved), Counts::UpperBound) = (&mut reply, self.counts) {
            for (message, count) in reserved.messages.iter_mut().zip(counts) {
                message.deliveries = DeliveryCount::from_reserved_count(Some(count));
            }
        }
        reply
    }

    fn on_reply(&mut self, id: RequestId, response: Result<QueueReply, broker::Refusal>) {
        let Some((life, op)) = self.in_flight.remove(&id) else { return };
        if life == self.lives && !self.finished {
            self.worker
                .handle_input(Input::Queue(op, response.map_err(Fault::from)), self.now)
                .unwrap();
        }
    }

    fn feed(&mut self, input: Input) {
        self.worker.handle_input(input, self.now).unwrap();
        self.settle();
    }

    /// Executes the outputs of worker and broker until both wait.
    fn settle(&mut self) {
        loop {
            match self.worker.poll_output() {
                Output::Queue(op, operation) => {
                    self.requests += 1;
                    let id = RequestId(self.requests);
                    self.in_flight.insert(id, (self.lives, op));
                    let request = broker::Input::Request(id, operation.into());
                    self.broker.handle_input(request, self.now).unwrap();
                }
                Output::CancelQueue(op) => {
                    let operation = (self.lives, op);
                    let id = self.in_flight.iter().find(|(_, other)| **other == operation);
                    if let Some(id) = id.map(|(id, _)| *id) {
                        self.broker.handle_input(broker::Input::Abandon(id), self.now).unwrap();
                        let lost = Fault::new(crate::queue::FaultKind::ReplyLost);
                        self.in_flight.remove(&id);
                        self.worker.handle_input(Input::Queue(op, Err(lost)), self.now).unwrap();
                    }
                }
                Output::Run(run) => self.runs.push(run),
                Output::Interrupt(_) => {}
                Output::Cancel(job, _) => {
                    self.worker
                        .handle_input(Input::Job(job, JobOutcome::Cancelled), self.now)
                        .unwrap();
                }
                Output::Event(event) => self.events.push(event),
                Output::Publish(op, _) => {
                    self.worker.handle_input(Input::Published(op, Ok(1)), self.now).unwrap();
                }
                Output::Finished => self.finished = true,
                Output::Wait(_) => match self.broker.poll_output() {
                    broker::Output::Response(id, response) => {
                        let response = response.map(|response| self.reply(response));
                        self.on_reply(id, response);
                    }
                    broker::Output::Wait(_) => return,
                },
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let mut next = end;
            if let Output::Wait(Some(deadline)) = self.worker.poll_output() {
                next = next.min(deadline.at);
            }
            if let broker::Output::Wait(Some(deadline)) = self.broker.poll_output() {
                next = next.min(deadline.at);
            }
            self.now = next;
            self.broker.handle_input(broker::Input::Tick, self.now).unwrap();
            if !self.finished {
                self.feed(Input::Tick);
            }
        }
    }

    /// The worker crashes, and another one replaces it.
    fn crash(&mut self) {
        self.replace_worker();
        self.pass(2 * LEASE);
    }

    /// The worker drains, and another one replaces it.
    fn drain(&mut self) {
        self.feed(Input::Drain { limit: Duration::from_secs(1) });
        self.pass(Duration::from_secs(3));
        assert!(self.finished, "it has drained");
        self.replace_worker();
        self.pass(Duration::from_secs(1));
    }

    fn replace_worker(&mut self) {
        // Nobody waits for the requests of the old worker.
        for id in std::mem::take(&mut self.in_flight).into_keys() {
            self.broker.handle_input(broker::Input::Abandon(id), self.now).unwrap();
        }
        self.lives += 1;
        self.finished = false;
        self.worker = worker(self.lives);
        self.runs.clear();
        self.feed(Input::Tick);
    }

    fn is_running(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Ends the running handler.
    fn end(&mut self, outcome: JobOutcome) {
        let run = self.runs.remove(0);
        self.feed(Input::Job(run.job, outcome));
        self.pass(Duration::from_secs(1));
    }

    fn dead_letters(&mut self) -> Vec<DeadLetter> {
        let dead = queue().dead_letter_queue().unwrap();
        self.request(Request::PutQueue { queue: dead.clone(), settings: Default::default() });
        let Response::Peeked(views) = self.request(Request::Peek { queue: dead, count: 100 })
        else {
            panic!("messages");
        };
        views.iter().map(|view| DeadLetter::parse(&view.body).unwrap()).collect()
    }

    fn most_lost_reported(&self) -> u32 {
        let lost = self.events.iter().filter_map(|event| match event {
            Event::Replaced { lost, .. } | Event::DeadLettered { lost, .. } => Some(*lost),
            _ => None,
        });
        lost.max().unwrap_or(0)
    }
}

fn worker(life: u64) -> Worker {
    let mut seed = [5; 32];
    seed[..8].copy_from_slice(&life.to_le_bytes());
    let config = config().with_lease(LEASE).with_concurrency(2);
    Worker::new(config, seed, WallClock::new(UNIX_AT_START)).unwrap()
}

fn done() -> JobOutcome {
    JobOutcome::Done(RawJson::parse("120").unwrap())
}

/// A body of ivy, and one in the Node package's format.
fn bodies() -> [String; 2] {
    [our_body(1, None), plain_body()]
}

#[test]
fn an_interrupted_task_runs_again_after_any_number_of_renewals() {
    for (counts, body) in BOTH.into_iter().flat_map(|counts| bodies().map(|body| (counts, body))) {
        let mut fixture = Fixture::new(counts, &body);
        fixture.pass(HOURS);
        fixture.crash();
        assert!(fixture.is_running(), "{counts:?}");
        assert_eq!(fixture.runs[0].attempt, 1, "{counts:?}: a crash is no attempt");
        fixture.pass(HOURS);
        fixture.end(done());
        assert!(fixture.dead_letters().is_empty(), "{counts:?}");
        assert!(fixture.most_lost_reported() <= 1, "{counts:?}");
    }
}

#[test]
fn drains_of_any_number_do_not_count_against_a_task() {
    for (counts, body) in BOTH.into_iter().flat_map(|counts| bodies().map(|body| (counts, body))) {
        for renewing in [Duration::ZERO, 4 * LEASE] {
            let mut fixture = Fixture::new(counts, &body);
            let id = fixture.runs[0].id;
            for _ in 0..40 {
                fixture.pass(renewing);
                fixture.drain();
                assert!(fixture.is_running(), "{counts:?}");
                assert_eq!((fixture.runs[0].attempt, fixture.runs[0].id), (1, id), "{counts:?}");
            }
            assert_eq!(fixture.most_lost_reported(), 0, "{counts:?}");
            assert!(fixture.dead_letters().is_empty(), "{counts:?}");
        }
    }
}

#[test]
fn a_drain_between_two_crashes_does_not_change_the_count() {
    for counts in BOTH {
        let mut fixture = Fixture::new(counts, &our_body(1, None));
        fixture.pass(HOURS);
        for lost in 1..=9 {
            fixture.crash();
            assert!(fixture.is_running(), "{counts:?} {lost}");
            fixture.drain();
            fixture.drain();
            assert!(fixture.is_running(), "{counts:?} {lost}");
        }
        assert!(fixture.dead_letters().is_empty(), "{counts:?}");
        fixture.crash();
        assert!(!fixture.is_running(), "{counts:?}");
        assert_eq!(fixture.dead_letters()[0].deliveries, 11, "{counts:?}");
    }
}

#[test]
fn a_task_that_crashes_its_workers_is_dead_lettered() {
    for (counts, most) in [(Counts::Exact, 10), (Counts::UpperBound, 15)] {
        for renewing in [Duration::ZERO, 10 * LEASE] {
            let mut fixture = Fixture::new(counts, &our_body(1, None));
            let mut starts = 0;
            while fixture.is_running() {
                starts += 1;
                fixture.pass(renewing);
                fixture.crash();
            }
            assert!((10..=most).contains(&starts), "{counts:?}: {starts} starts");
            let letters = fixture.dead_letters();
            assert_eq!(letters.len(), 1, "{counts:?}");
            assert_eq!(letters[0].reason, DeadLetterReason::TooManyDeliveries, "{counts:?}");
            assert_eq!((letters[0].attempts, letters[0].deliveries), (0, 11), "{counts:?}");
        }
    }
}

#[test]
fn a_failed_attempt_restarts_the_count_of_lost_deliveries() {
    let mut fixture = Fixture::new(Counts::UpperBound, &our_body(1, None));
    fixture.pass(HOURS);
    fixture.crash();
    fixture.crash();
    assert_eq!(fixture.most_lost_reported(), 2);
    fixture.end(JobOutcome::Failed("no".into()));
    fixture.pass(Duration::from_secs(10));
    assert_eq!(fixture.runs[0].attempt, 2);
    fixture.events.clear();
    fixture.pass(HOURS);
    fixture.crash();
    assert_eq!(fixture.most_lost_reported(), 1);
}

#[test]
fn attempts_and_lost_deliveries_are_counted_separately() {
    for counts in BOTH {
        let mut fixture = Fixture::new(counts, &our_body(1, None));
        for attempt in 1..=11 {
            fixture.pass(HOURS);
            fixture.crash();
            assert_eq!(fixture.runs[0].attempt, attempt, "{counts:?}");
            fixture.pass(HOURS);
            fixture.end(JobOutcome::Failed("no".into()));
            fixture.pass(Duration::from_secs(400));
            if counts == Counts::Exact && attempt == 9 {
                break;
            }
        }
        let reasons: Vec<_> = fixture.dead_letters().iter().map(|letter| letter.reason).collect();
        match counts {
            Counts::UpperBound => assert_eq!(reasons, [DeadLetterReason::RetriesExhausted]),
            // All attempts use the same message, so they share its lost deliveries.
            Counts::Exact => assert!(reasons.is_empty()),
        }
    }
}
