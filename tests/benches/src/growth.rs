//! The cost of one task while there are many of something: it must not grow with their number.

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::time::Duration;

use ivy_proto::broker::{
    Broker, BrokerConfig, Delivery, Input, Output, Request, RequestId, Response, Target,
};
use ivy_proto::producer::{self, Producer, ProducerConfig};
use ivy_proto::queue::{
    Body, Capabilities, DeliveryCount, NewMessage, QueueOp, QueueReply, ReceivedBody, Reserved,
    ReservedMessage,
};
use ivy_proto::task::TaskSettings;
use ivy_proto::wire::{Codec, RawJson};
use ivy_proto::worker::{self, JobOutcome, Worker, WorkerConfig};
use ivy_proto::{
    ChannelName, MessageId, Moment, OpId, QueueName, Receipt, ReservationId, TaskId, TaskName,
    WallClock,
};

use crate::load::Load;
use crate::machines::{Calls, id, queue};
use crate::samples;

/// The maximum number of messages of a request.
const BATCH: usize = 100;

/// A broker that replies immediately.
#[derive(Debug)]
pub struct Store {
    broker: Broker,
    queue: QueueName,
    now: Moment,
}

impl Store {
    /// A queue of this many messages.
    #[must_use]
    pub fn with(depth: usize) -> Self {
        let broker = Broker::new(BrokerConfig::default(), [1; 32]);
        let mut store = Store { broker, queue: queue(), now: Moment::EPOCH };
        let mut remaining = depth;
        while remaining > 0 {
            let size = remaining.min(BATCH);
            store.post(size);
            remaining -= size;
        }
        store
    }

    fn execute(&mut self, request: Request) -> Response {
        // As on a real clock, no two requests come at the same time.
        self.now = self.now + Duration::from_micros(1);
        self.broker
            .handle_input(Input::Request(RequestId(1), request), self.now)
            .expect("the request id is new");
        let Output::Response(_, response) = self.broker.poll_output() else {
            panic!("no response")
        };
        response.expect("the broker refuses nothing")
    }

    fn post(&mut self, count: usize) {
        let message = || NewMessage { body: Body::new(samples::SMALL), delay: Duration::ZERO };
        let messages = (0..count).map(|_| message()).collect();
        let queue = self.queue.clone();
        black_box(self.execute(Request::Post { queue, messages }));
    }

    fn reserve(&mut self, count: usize) -> Vec<Target> {
        let (queue, timeout) = (self.queue.clone(), Some(Duration::from_secs(3600)));
        let request =
            Request::Reserve { queue, count, timeout, wait: Duration::ZERO, delete: false };
        let Response::Reserved(deliveries) = self.execute(request) else {
            panic!("another response")
        };
        let target = |Delivery { message, reservation, .. }| Target {
            message,
            reservation: Some(reservation),
        };
        deliveries.into_iter().map(target).collect()
    }

    fn delete(&mut self, targets: Vec<Target>) {
        let queue = self.queue.clone();
        black_box(self.execute(Request::DeleteMany { queue, targets }));
    }

    fn touch(&mut self, target: &mut Target) {
        let (queue, timeout) = (self.queue.clone(), Some(Duration::from_secs(3600)));
        let request = Request::Touch { queue, target: target.clone(), timeout };
        let Response::Touched(receipt) = self.execute(request) else { panic!("another response") };
        target.reservation = Some(receipt.reservation);
    }
}

/// A hundred messages posted, reserved and deleted, in a queue that always contains this many more.
pub(crate) fn broker_cycle(depth: usize) -> Load {
    let mut store = Store::with(depth);
    Load::of(move || {
        store.post(BATCH);
        let targets = store.reserve(BATCH);
        store.delete(targets);
        BATCH as u64
    })
}

/// A hundred messages touched, of this many that are reserved.
pub(crate) fn broker_touch(depth: usize) -> Load {
    let mut store = Store::with(depth);
    let mut targets = Vec::with_capacity(depth);
    while targets.len() < depth {
        targets.extend(store.reserve(BATCH));
    }
    let mut next = 0;
    Load::of(move || {
        for _ in 0..BATCH {
            // In the order in which they were reserved, as workers renew their leases.
            next = (next + 1) % targets.len();
            store.touch(&mut targets[next]);
        }
        BATCH as u64
    })
}

/// What a broker must store of a message in addition to its body: its number, its reservation, its
/// position and three instants.
type Record = [u64; 8];
const RECORD: Record = [7; 8];

/// The memory accesses of `broker_cycle` alone: bodies and records that enter a queue and leave it
/// again.
pub(crate) fn bare_cycle(depth: usize) -> Load {
    let message = || (Body::new(samples::SMALL), RECORD);
    let mut queue: VecDeque<(Body, Record)> = (0..depth).map(|_| message()).collect();
    Load::of(move || {
        queue.extend((0..BATCH).map(|_| message()));
        for (body, record) in queue.drain(..BATCH) {
            // Like the serialization of a response.
            black_box((body.as_str().to_owned(), record));
        }
        BATCH as u64
    })
}

/// The memory accesses of `broker_touch` alone: a receipt, a record, and a position in a queue, as
/// many of each.
pub(crate) fn bare_touch(depth: usize) -> Load {
    let mut receipts: Vec<[u64; 10]> = vec![[7; 10]; depth];
    let mut records: Vec<Record> = vec![RECORD; depth];
    let mut queue: VecDeque<(u64, u64)> = vec![(7, 7); depth].into();
    let mut next = 0;
    Load::of(move || {
        for _ in 0..BATCH {
            next = (next + 1) % depth;
            let (receipt, record) = (&mut receipts[next], &mut records[next]);
            (receipt[0], record[0]) = black_box((record[0], receipt[0]));
            queue.rotate_left(1);
        }
        BATCH as u64
    })
}

/// A producer, with immediate replies of queue and notifier.
#[derive(Debug)]
pub struct WaitingProducer {
    producer: Producer,
    calls: Calls,
    sent: u64,
    reply: Option<ChannelName>,
}

impl WaitingProducer {
    /// A producer that waits for this many results.
    #[must_use]
    pub fn with(results: usize) -> Self {
        let config = ProducerConfig::new(Capabilities::broker(), Codec::plain())
            .with_waiting(results + BATCH)
            .with_notifier(ChannelName::new("ivy").expect("a valid name"))
            .expect("a valid name");
        let producer = Producer::new(config, [1; 32], WallClock::default());
        let mut waiting = WaitingProducer { producer, calls: Calls::new(), sent: 0, reply: None };
        let mut remaining = results;
        while remaining > 0 {
            let size = remaining.min(BATCH);
            waiting.call(size);
            remaining -= size;
        }
        waiting
    }

    /// Calls this many tasks, and returns the bodies of their messages.
    fn call(&mut self, count: usize) -> Vec<Body> {
        let calls = (0..count).map(|_| self.calls.make()).collect();
        self.feed(producer::Input::Calls(calls));
        let mut bodies = Vec::new();
        loop {
            match self.producer.poll_output() {
                producer::Output::Subscribe(mut channels) => {
                    self.reply = channels.pop();
                    self.feed(producer::Input::Subscribed);
                }
                producer::Output::Queue(op, QueueOp::Post { messages, .. }) => {
                    let messages = messages.into_items();
                    let posted = messages.iter().map(|_| Ok(self.next_message_id())).collect();
                    bodies.extend(messages.into_iter().map(|message| message.body));
                    self.feed(producer::Input::Queue(op, Ok(QueueReply::Posted(posted))));
                }
                producer::Output::Sent(_, sent) => {
                    sent.expect("the call is accepted");
                }
                producer::Output::Wait(_) => return bodies,
                _ => {}
            }
        }
    }

    /// The results of these messages arrive.
    fn resume(&mut self, bodies: &[Body]) {
        let channel = self.reply.clone().expect("the producer has subscribed");
        for body in bodies {
            let payload = notice_of(body);
            self.feed(producer::Input::Notice { channel: channel.clone(), payload });
        }
        loop {
            match self.producer.poll_output() {
                producer::Output::Wait(_) => return,
                output => drop(black_box(output)),
            }
        }
    }

    fn next_message_id(&mut self) -> MessageId {
        self.sent += 1;
        MessageId::new((1_000_000_000_000_000_000 + self.sent).to_string())
    }

    fn feed(&mut self, input: producer::Input) {
        self.producer.handle_input(input, Moment::EPOCH).expect("the input is valid");
    }
}

/// The notice of a task's success, built from its message.
fn notice_of(body: &Body) -> Vec<u8> {
    let (_, options) =
        body.as_str().split_once(r#""ivy":"#).expect("the message has ivy's options");
    let (ivy, _) = options.split_once('}').expect("the options end");
    format!(
        r#"{{"id":"1","name":"t","args":[],"options":{{"ivy":{ivy},"outcome":"ok"}}}},"result":[10],"notify":true,"queue":"q"}}"#
    )
    .into_bytes()
}

/// A hundred calls and their results, while this many others wait for theirs.
pub(crate) fn producer(waiting: usize) -> Load {
    let mut waiting = WaitingProducer::with(waiting);
    Load::of(move || {
        let bodies = waiting.call(BATCH);
        waiting.resume(&bodies);
        BATCH as u64
    })
}

/// The memory accesses of `producer` alone: records that are inserted by id, found and removed.
pub(crate) fn bare_producer(waiting: usize) -> Load {
    // As large as what a producer stores for a result.
    const PENDING: [u64; 40] = [7; 40];
    let waiting = waiting as u128;
    let mut records: HashMap<TaskId, Box<[u64; 40]>> =
        (0..waiting).map(|number| (id(number), Box::new(PENDING))).collect();
    let mut next = waiting;
    Load::of(move || {
        let numbers = next..next + BATCH as u128;
        next = numbers.end;
        records.extend(numbers.clone().map(|number| (id(number), Box::new(PENDING))));
        for number in numbers {
            black_box(records.remove(&id(number)));
        }
        BATCH as u64
    })
}

/// A worker, with immediate replies of its queue.
#[derive(Debug)]
pub struct LoadedWorker {
    worker: Worker,
    tasks: u64,
    messages: u64,
    reserves: VecDeque<(OpId, usize)>,
    now: Moment,
}

impl LoadedWorker {
    /// A worker of this many tasks, with this many slots.
    #[must_use]
    pub fn with(tasks: usize, concurrency: usize) -> Self {
        let mut config =
            WorkerConfig::new(Capabilities::broker(), Codec::plain()).with_concurrency(concurrency);
        for number in 0..tasks {
            let name = TaskName::new(&format!("testpackage.task{number}")).expect("a valid name");
            config = config.with_task(name, TaskSettings::in_queue(queue()));
        }
        let mut worker =
            Worker::new(config, [2; 32], WallClock::default()).expect("a valid config");
        worker.handle_input(worker::Input::Tick, Moment::EPOCH).expect("the input is valid");
        let tasks = tasks as u64;
        let mut worker = LoadedWorker {
            worker,
            tasks,
            messages: 0,
            reserves: VecDeque::new(),
            now: Moment::EPOCH,
        };
        worker.poll_outputs(false);
        worker
    }

    /// Delivers this many messages at a time to the worker, until it has received `count`; each
    /// handler ends immediately, or never.
    pub fn take(&mut self, count: usize, ends: bool) {
        let mut remaining = count;
        while remaining > 0 {
            let Some((op, capacity)) = self.reserves.pop_front() else {
                self.sleep();
                self.poll_outputs(ends);
                continue;
            };
            let size = remaining.min(capacity).min(BATCH);
            let messages = (0..size).map(|_| self.next_message()).collect();
            let reply = QueueReply::Reserved(Reserved { messages, unusable: 0 });
            self.feed(worker::Input::Queue(op, Ok(reply)));
            remaining -= size;
            self.poll_outputs(ends);
        }
    }

    fn next_message(&mut self) -> ReservedMessage {
        self.messages += 1;
        let task = self.messages.wrapping_mul(7919) % self.tasks;
        let body = format!(r#"{{"name":"testpackage.task{task}","options":{{}},"args":[5]}}"#);
        ReservedMessage {
            receipt: Receipt {
                message: MessageId::new((1_000_000_000_000_000_000 + self.messages).to_string()),
                reservation: ReservationId::new(format!("{:032x}", self.messages)),
            },
            body: ReceivedBody::Text(Body::new(body)),
            deliveries: DeliveryCount::from_reserved_count(Some(1)),
        }
    }

    fn poll_outputs(&mut self, ends: bool) {
        loop {
            match self.worker.poll_output() {
                worker::Output::Queue(op, QueueOp::Reserve { count, .. }) => {
                    self.reserves.push_back((op, count));
                }
                worker::Output::Queue(op, QueueOp::DeleteMany { receipts, .. }) => {
                    let deleted = QueueReply::all_deleted(receipts.items().len());
                    self.feed(worker::Input::Queue(op, Ok(deleted)));
                }
                worker::Output::Queue(op, _) => {
                    let fault = ivy_proto::queue::Fault::new(ivy_proto::queue::FaultKind::Refused);
                    self.feed(worker::Input::Queue(op, Err(fault)));
                }
                worker::Output::Run(run) if ends => {
                    let result = RawJson::from_value(&10).expect("a number");
                    self.feed(worker::Input::Job(run.job, JobOutcome::Done(result)));
                }
                worker::Output::Wait(_) => return,
                output => drop(black_box(output)),
            }
        }
    }

    fn feed(&mut self, input: worker::Input) {
        self.worker.handle_input(input, self.now).expect("the input is valid");
    }

    /// Advances the time until the worker has an output.
    fn sleep(&mut self) {
        let worker::Output::Wait(Some(deadline)) = self.worker.poll_output() else {
            panic!("the worker has no deadline");
        };
        self.now = deadline.at;
        self.feed(worker::Input::Tick);
    }
}

/// A hundred messages reserved, run and deleted, by a worker of this many tasks.
pub(crate) fn worker(tasks: usize) -> Load {
    let mut worker = LoadedWorker::with(tasks, BATCH);
    Load::of(move || {
        worker.take(BATCH, true);
        BATCH as u64
    })
}

/// The memory accesses of `worker` alone: a message, and what is registered for its task.
pub(crate) fn bare_worker(tasks: usize) -> Load {
    let names: Vec<String> = (0..tasks).map(task_name).collect();
    let bodies: Vec<Body> = names.iter().map(|name| message_to(name)).collect();
    let registered: HashMap<String, Record> =
        names.into_iter().map(|name| (name, RECORD)).collect();
    let mut messages = 0;
    Load::of(move || {
        for _ in 0..BATCH {
            messages += 1;
            let text = scattered(&bodies, messages).as_str().to_owned();
            let name = text.split('"').nth(3).expect("the message names its task");
            black_box(registered[name]);
        }
        BATCH as u64
    })
}

fn task_name(number: usize) -> String {
    format!("testpackage.task{number}")
}

fn message_to(task: &str) -> Body {
    Body::new(format!(r#"{{"name":"{task}","options":{{}},"args":[5]}}"#))
}

/// The numbers in a scattered order.
fn scattered(bodies: &[Body], count: u64) -> &Body {
    let number = usize::try_from(count.wrapping_mul(7919)).unwrap_or(0);
    &bodies[number % bodies.len()]
}
