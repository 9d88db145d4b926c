//! The number of requests that ivy makes, counted in virtual time: exact on any host.
//!
//! Producer, worker and broker, with a network between them that has a latency.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

use ivy_proto::broker::{self, Broker, BrokerConfig, RequestId};
use ivy_proto::producer::{self, Call, Producer, ProducerConfig, ReplyTo};
use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};
use ivy_proto::task::TaskSettings;
use ivy_proto::wire::{Codec, Options, RawJson};
use ivy_proto::worker::{self, JobOutcome, Worker, WorkerConfig};
use ivy_proto::{Moment, OpId, QueueName, TaskId, TaskName, WallClock};

const MESSAGES: u32 = 10_000;
/// The round-trip time of a request.
const ROUND_TRIP: Duration = Duration::from_millis(25);
/// The maximum duration of a request.
const BATCH: f64 = 100.0;

#[test]
fn ten_thousand_single_calls_are_posted_in_full_batches() {
    let mut world = World::new(ROUND_TRIP);
    world.send_all();
    let posts = world.requests["post"];
    assert!(posts <= 105, "{posts} posts");
}

#[test]
fn eight_posts_are_in_flight_at_a_time() {
    let mut world = World::new(ROUND_TRIP);
    let took = world.send_all();
    let rate = f64::from(MESSAGES) / took.as_secs_f64();
    let limit = 8.0 * BATCH / ROUND_TRIP.as_secs_f64();
    assert!(rate >= 0.9 * limit, "{rate} a second, and the limit is {limit}");
}

#[test]
fn ten_thousand_messages_are_drained_with_batched_deletes() {
    let mut world = World::new(ROUND_TRIP);
    world.send_all();
    world.drain_all(100);
    let (reserves, deletes) = (world.requests["reserve"], world.requests["delete"]);
    assert!(reserves + deletes <= 210, "{reserves} reserves and {deletes} deletes");
}

#[test]
fn deletes_overlap_with_reserves() {
    let mut world = World::new(ROUND_TRIP);
    world.send_all();
    let took = world.drain_all(800);
    let rate = f64::from(MESSAGES) / took.as_secs_f64();
    let limit = 8.0 * BATCH / (2.0 * ROUND_TRIP.as_secs_f64());
    assert!(rate >= 0.9 * limit, "{rate} a second, and the limit is {limit}");
}

#[test]
fn an_idle_worker_sends_at_most_four_requests_a_minute() {
    let mut world = World::new(ROUND_TRIP);
    world.send_all();
    world.drain_all(100);
    world.run_for(Duration::from_secs(60));
    let before: usize = world.requests.values().sum();
    world.run_for(Duration::from_secs(600));
    let requests = world.requests.values().sum::<usize>() - before;
    assert!(requests <= 40, "{requests} requests in ten minutes");
}

struct World {
    producer: Producer,
    worker: Option<Worker>,
    broker: Broker,
    round_trip: Duration,
    now: Moment,
    /// What arrives when, in the order in which it was sent.
    arrivals: BinaryHeap<Reverse<(Moment, u64)>>,
    packets: HashMap<u64, Packet>,
    sent_packets: u64,
    requesters: HashMap<RequestId, Requester>,
    /// How many requests of each kind were made.
    requests: BTreeMap<&'static str, usize>,
    sent: u32,
    deleted: u32,
}

enum Packet {
    Request(Requester, QueueOp),
    Response(Requester, Result<QueueReply, Fault>),
}

#[derive(Clone, Copy)]
enum Requester {
    Producer(OpId),
    Worker(OpId),
}

impl World {
    fn new(round_trip: Duration) -> Self {
        let config = ProducerConfig::new(Capabilities::broker(), Codec::plain());
        World {
            producer: Producer::new(config, [1; 32], WallClock::default()),
            worker: None,
            broker: Broker::new(BrokerConfig::default(), [3; 32]),
            round_trip,
            now: Moment::EPOCH,
            arrivals: BinaryHeap::new(),
            packets: HashMap::new(),
            sent_packets: 0,
            requesters: HashMap::new(),
            requests: BTreeMap::new(),
            sent: 0,
            deleted: 0,
        }
    }

    /// Sends all messages by single calls, as 10,000 callers do, and returns how long it took.
    fn send_all(&mut self) -> Duration {
        let started = self.now;
        for number in 0..MESSAGES {
            let call = Call {
                id: TaskId::from_random(u128::from(number + 1).to_le_bytes()),
                chosen_id: None,
                task: TaskName::new("testpackage.factorial").unwrap(),
                queue: QueueName::new("testpackage").unwrap(),
                args: RawJson::from_value(&(number,)).unwrap(),
                options: Options::new(),
                expires_after: None,
                delay: Duration::ZERO,
                within: None,
                reply: ReplyTo::None,
            };
            self.feed_producer(producer::Input::Calls(vec![call]));
        }
        self.run_until(Moment::FOREVER, |world| world.sent == MESSAGES);
        self.now.since(started)
    }

    /// Starts a worker, lets it delete all messages, and returns how long it took.
    fn drain_all(&mut self, concurrency: usize) -> Duration {
        let started = self.now;
        let settings = TaskSettings::in_queue(QueueName::new("testpackage").unwrap());
        let config = WorkerConfig::new(Capabilities::broker(), Codec::plain())
            .with_task(TaskName::new("testpackage.factorial").unwrap(), settings)
            .with_concurrency(concurrency);
        self.worker = Some(Worker::new(config, [2; 32], WallClock::default()).unwrap());
        self.run_until(Moment::FOREVER, |world| world.deleted == MESSAGES);
        self.now.since(started)
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |world| world.now >= end);
    }

    fn run_until(&mut self, end: Moment, is_done: impl Fn(&World) -> bool) {
        loop {
            while self.poll_producer() | self.poll_worker() | self.poll_broker() {}
            if is_done(self) {
                return;
            }
            self.advance_to_next_event(end);
        }
    }

    /// Advances the time to the next event, but not beyond this instant.
    fn advance_to_next_event(&mut self, end: Moment) {
        let arrival = self.arrivals.peek().map(|Reverse((at, _))| *at);
        let deadlines = [arrival, self.producer_deadline(), self.worker_deadline(), Some(end)];
        let broker = match self.broker.poll_output() {
            broker::Output::Wait(deadline) => deadline.map(|deadline| deadline.at),
            broker::Output::Response(..) => {
                unreachable!("the broker was polled until it had no output")
            }
        };
        self.now = deadlines.into_iter().flatten().chain(broker).min().unwrap();
        while let Some(Reverse((at, packet))) = self.arrivals.peek().copied()
            && at <= self.now
        {
            self.arrivals.pop();
            self.deliver(packet);
        }
        self.feed_producer(producer::Input::Tick);
        self.feed_worker(worker::Input::Tick);
        self.broker.handle_input(broker::Input::Tick, self.now).unwrap();
    }

    fn deliver(&mut self, packet: u64) {
        match self.packets.remove(&packet).unwrap() {
            Packet::Request(requester, op) => {
                let id = RequestId(packet);
                self.requesters.insert(id, requester);
                let request = broker::Input::Request(id, op.into());
                self.broker.handle_input(request, self.now).unwrap();
            }
            Packet::Response(Requester::Producer(op), reply) => {
                self.feed_producer(producer::Input::Queue(op, reply));
            }
            Packet::Response(Requester::Worker(op), reply) => {
                self.feed_worker(worker::Input::Queue(op, reply));
            }
        }
    }

    fn send(&mut self, packet: Packet) {
        self.sent_packets += 1;
        self.arrivals.push(Reverse((self.now + self.round_trip / 2, self.sent_packets)));
        self.packets.insert(self.sent_packets, packet);
    }

    fn send_request(&mut self, requester: Requester, op: QueueOp) {
        let kind = match &op {
            QueueOp::Post { .. } => "post",
            QueueOp::Reserve { .. } => "reserve",
            QueueOp::DeleteMany { receipts, .. } => {
                self.deleted += u32::try_from(receipts.items().len()).unwrap();
                "delete"
            }
            _ => "other",
        };
        *self.requests.entry(kind).or_default() += 1;
        self.send(Packet::Request(requester, op));
    }

    fn poll_producer(&mut self) -> bool {
        match self.producer.poll_output() {
            producer::Output::Queue(id, op) => self.send_request(Requester::Producer(id), op),
            producer::Output::Sent(_, sent) => {
                sent.unwrap();
                self.sent += 1;
            }
            producer::Output::Wait(_) => return false,
            _ => {}
        }
        true
    }

    fn poll_worker(&mut self) -> bool {
        let Some(worker) = &mut self.worker else { return false };
        match worker.poll_output() {
            worker::Output::Queue(id, op) => self.send_request(Requester::Worker(id), op),
            worker::Output::Run(run) => {
                let result = RawJson::parse("null").unwrap();
                self.feed_worker(worker::Input::Job(run.job, JobOutcome::Done(result)));
            }
            worker::Output::Wait(_) => return false,
            _ => {}
        }
        true
    }

    fn poll_broker(&mut self) -> bool {
        let broker::Output::Response(id, response) = self.broker.poll_output() else {
            return false;
        };
        let requester = self.requesters.remove(&id).unwrap();
        self.send(Packet::Response(requester, response.map(QueueReply::from).map_err(Fault::from)));
        true
    }

    fn producer_deadline(&mut self) -> Option<Moment> {
        match self.producer.poll_output() {
            producer::Output::Wait(deadline) => deadline.map(|deadline| deadline.at),
            _ => unreachable!("the machine was polled until it had no output"),
        }
    }

    fn worker_deadline(&mut self) -> Option<Moment> {
        match self.worker.as_mut()?.poll_output() {
            worker::Output::Wait(deadline) => deadline.map(|deadline| deadline.at),
            _ => unreachable!("the machine was polled until it had no output"),
        }
    }

    fn feed_producer(&mut self, input: producer::Input) {
        self.producer.handle_input(input, self.now).unwrap();
    }

    fn feed_worker(&mut self, input: worker::Input) {
        if let Some(worker) = &mut self.worker {
            worker.handle_input(input, self.now).unwrap();
        }
    }
}
