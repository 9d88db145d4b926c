//! Producer, broker and worker in one loop, without an adapter: the cost of a task in ivy itself.

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::time::Duration;

use ivy_proto::broker::{self, Broker, BrokerConfig, RequestId};
use ivy_proto::producer::{self, Call, Producer, ProducerConfig, ReplyTo};
use ivy_proto::queue::{Capabilities, Fault, QueueOp, QueueReply};
use ivy_proto::task::{TaskOutcome, TaskSettings};
use ivy_proto::wire::{Codec, Options, RawJson};
use ivy_proto::worker::{self, JobOutcome, Worker, WorkerConfig};
use ivy_proto::{ChannelName, Moment, OpId, QueueName, TaskId, TaskName, WallClock};

use crate::load::{Load, repeated};
use crate::wire::{QUEUE, TASK, Wire};

/// Calls with results, this many outstanding at a time.
pub(crate) fn ivy(outstanding: usize) -> Load {
    let mut world = World::new(outstanding);
    Load::of(move || world.round(outstanding))
}

/// The three machines, and what is in transit between them.
struct World {
    producer: Producer,
    worker: Worker,
    broker: Broker,
    /// The inputs that each machine has not received yet.
    producer_inputs: VecDeque<producer::Input>,
    worker_inputs: VecDeque<worker::Input>,
    requesters: HashMap<RequestId, Requester>,
    requests: u64,
    calls: Calls,
    results: u64,
    now: Moment,
}

/// How many inputs a machine receives at a time.
const INPUTS_PER_TURN: usize = 256;

/// Who waits for a reply of the broker.
#[derive(Clone, Copy)]
enum Requester {
    Producer(OpId),
    Worker(OpId),
}

impl World {
    /// A world whose worker runs this many handlers at a time.
    fn new(concurrency: usize) -> Self {
        let channel = ChannelName::new("ivy").expect("a valid name");
        let config = ProducerConfig::new(Capabilities::broker(), Codec::plain())
            .with_notifier(channel.clone())
            .expect("a valid name");
        let producer = Producer::new(config, [1; 32], clock());
        let calls = Calls::new();
        let settings = TaskSettings::in_queue(calls.queue.clone());
        let config = WorkerConfig::new(Capabilities::broker(), Codec::plain())
            .with_notifier(channel)
            .with_task(calls.task.clone(), settings)
            .with_concurrency(concurrency);
        let worker = Worker::new(config, [2; 32], clock()).expect("a valid config");
        let broker = Broker::new(BrokerConfig::default(), [3; 32]);
        World {
            producer,
            worker,
            broker,
            producer_inputs: VecDeque::new(),
            worker_inputs: VecDeque::new(),
            requesters: HashMap::new(),
            requests: 0,
            calls,
            results: 0,
            now: Moment::EPOCH,
        }
    }

    /// Calls this many tasks and waits for all their results.
    fn round(&mut self, calls: usize) -> u64 {
        let before = self.results;
        let mut remaining = calls;
        while remaining > 0 {
            let size = remaining.min(100);
            let calls = (0..size).map(|_| self.calls.make()).collect();
            self.queue_for_producer(producer::Input::Calls(calls));
            remaining -= size;
        }
        let target = before + calls as u64;
        while self.results < target {
            if !self.take_turn() {
                self.sleep();
            }
        }
        self.results - before
    }

    /// Drives the machines as an adapter does: each machine receives its inputs and is then polled
    /// until it has no more outputs. Returns whether there were any inputs.
    fn take_turn(&mut self) -> bool {
        let mut active = false;
        for input in self.producer_inputs.drain(..INPUTS_PER_TURN.min(self.producer_inputs.len())) {
            self.producer.handle_input(input, self.now).expect("the input is valid");
            active = true;
        }
        while self.poll_producer() {
            active = true;
        }
        while self.poll_broker() {
            active = true;
        }
        for input in self.worker_inputs.drain(..INPUTS_PER_TURN.min(self.worker_inputs.len())) {
            self.worker.handle_input(input, self.now).expect("the input is valid");
            active = true;
        }
        while self.poll_worker() {
            active = true;
        }
        active
    }

    fn poll_producer(&mut self) -> bool {
        match self.producer.poll_output() {
            producer::Output::Queue(id, op) => self.send_request(Requester::Producer(id), op),
            producer::Output::Subscribe(_) => self.queue_for_producer(producer::Input::Subscribed),
            producer::Output::Sent(_, sent) => {
                sent.expect("the broker accepts everything");
            }
            producer::Output::Result { id, outcome, .. } => {
                let TaskOutcome::Done(result) = outcome else { panic!("{outcome:?}") };
                let result: u64 = serde_json::from_str(result.as_str()).expect("a number");
                black_box(result);
                self.queue_for_producer(producer::Input::Forget(id));
                self.results += 1;
            }
            producer::Output::Released { id, release } => panic!("{id}: {release}"),
            producer::Output::Event(event) => drop(black_box(event)),
            producer::Output::Wait(_) | producer::Output::Finished => return false,
        }
        true
    }

    fn poll_worker(&mut self) -> bool {
        match self.worker.poll_output() {
            worker::Output::Queue(id, op) => self.send_request(Requester::Worker(id), op),
            worker::Output::Publish(op, publication) => {
                let payload = publication.payload.as_str().as_bytes().to_vec();
                let notice = producer::Input::Notice { channel: publication.channel, payload };
                self.queue_for_producer(notice);
                self.queue_for_worker(worker::Input::Published(op, Ok(1)));
            }
            worker::Output::Run(run) => {
                let (n,): (u64,) = serde_json::from_str(run.args.as_str()).expect("a number");
                let result = RawJson::from_value(&(n * 2)).expect("a number");
                self.queue_for_worker(worker::Input::Job(run.job, JobOutcome::Done(result)));
            }
            worker::Output::Event(event) => drop(black_box(event)),
            worker::Output::CancelQueue(_)
            | worker::Output::Cancel(..)
            | worker::Output::Interrupt(_) => {
                panic!("nothing is cancelled")
            }
            worker::Output::Wait(_) | worker::Output::Finished => return false,
        }
        true
    }

    fn poll_broker(&mut self) -> bool {
        let broker::Output::Response(id, response) = self.broker.poll_output() else {
            return false;
        };
        let reply = response.map(QueueReply::from).map_err(Fault::from);
        match self.requesters.remove(&id) {
            Some(Requester::Producer(op)) => {
                self.queue_for_producer(producer::Input::Queue(op, reply))
            }
            Some(Requester::Worker(op)) => self.queue_for_worker(worker::Input::Queue(op, reply)),
            None => {}
        }
        true
    }

    fn send_request(&mut self, requester: Requester, op: QueueOp) {
        self.requests += 1;
        let id = RequestId(self.requests);
        self.requesters.insert(id, requester);
        self.broker
            .handle_input(broker::Input::Request(id, op.into()), self.now)
            .expect("each request has its own id");
    }

    fn queue_for_producer(&mut self, input: producer::Input) {
        self.producer_inputs.push_back(input);
    }

    fn queue_for_worker(&mut self, input: worker::Input) {
        self.worker_inputs.push_back(input);
    }

    /// Advances the time until one of the machines has an output.
    fn sleep(&mut self) {
        let producer::Output::Wait(producer) = self.producer.poll_output() else { return };
        let worker::Output::Wait(worker) = self.worker.poll_output() else { return };
        let broker::Output::Wait(broker) = self.broker.poll_output() else { return };
        let deadlines = [
            producer.map(|deadline| deadline.at),
            worker.map(|deadline| deadline.at),
            broker.map(|deadline| deadline.at),
        ];
        self.now = deadlines.into_iter().flatten().min().expect("a machine has a deadline");
        self.queue_for_producer(producer::Input::Tick);
        self.queue_for_worker(worker::Input::Tick);
        self.broker.handle_input(broker::Input::Tick, self.now).expect("a tick is valid");
    }
}

pub(crate) fn queue() -> QueueName {
    QueueName::new(QUEUE).expect("a valid name")
}

/// Calls of one task whose results are wanted, with ids that look random.
#[derive(Debug)]
pub(crate) struct Calls {
    task: TaskName,
    queue: QueueName,
    made: u128,
}

impl Calls {
    pub(crate) fn new() -> Self {
        let task = TaskName::new(TASK).expect("a valid name");
        Calls { task, queue: queue(), made: 0 }
    }

    pub(crate) fn make(&mut self) -> Call {
        self.made += 1;
        Call {
            id: id(self.made),
            chosen_id: None,
            task: self.task.clone(),
            queue: self.queue.clone(),
            args: RawJson::from_value(&(5,)).expect("a number"),
            options: Options::new(),
            expires_after: None,
            delay: Duration::ZERO,
            within: None,
            reply: ReplyTo::Handle,
        }
    }
}

/// Unique ids in a scattered order: multiplied by an odd number.
pub(crate) fn id(number: u128) -> TaskId {
    TaskId::from_random(
        number.wrapping_mul(0x2545_f491_4f6c_dd1d_9e37_79b9_7f4a_7c15).to_le_bytes(),
    )
}

/// The codec alone: for each task a message written and parsed, and a notice written and parsed.
pub(crate) fn baseline() -> Load {
    let wire = Wire::new();
    repeated(100, move || {
        let notice = wire.work(&wire.message());
        wire.read(&notice);
    })
}

/// The wall clock, at a time whose stamps have as many digits as today's.
fn clock() -> WallClock {
    WallClock::new(Duration::from_secs(1_700_000_000))
}
