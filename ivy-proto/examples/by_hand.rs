//! A producer, a worker and a queue, driven by hand in one plain loop: no adapter, runtime, thread,
//! socket or clock. Time is a number that the loop advances, so waiting takes no time.
//!
//! ```text
//! cargo run -p ivy-proto --example by_hand
//! ```
//!
//! With a real queue, [`Output::Queue`](worker::Output::Queue) becomes a request to its server, and
//! the reply arrives later; with a real clock, the loop sleeps until the earliest deadline or the
//! next input.

#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use ivy_proto::broker::{self, Broker, BrokerConfig, RequestId};
use ivy_proto::producer::{self, Producer, ProducerConfig, ReplyTo};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::task::{BlockingRegistry, CallOptions, Task};
use ivy_proto::wire::Codec;
use ivy_proto::worker::{self, Worker, WorkerConfig};
use ivy_proto::{ChannelName, Moment, OpId, TaskError, TaskId, TaskName, WallClock};

const FACTORIAL: Task<(u64,), u64> =
    Task::new("testpackage.factorial").queue("testpackage").max_retries(3);

/// The handler's context: the number of the attempt.
struct Attempt(u32);

fn factorial(Attempt(attempt): Attempt, n: u64) -> Result<u64, TaskError> {
    if attempt == 1 {
        return Err(TaskError::new("the first attempt fails"));
    }
    (1..=n).try_fold(1, u64::checked_mul).ok_or_else(|| TaskError::fatal("does not fit in 64 bits"))
}

/// Which machine sent an operation, and its id.
#[derive(Clone, Copy)]
enum Requester {
    Producer(OpId),
    Worker(OpId),
}

struct World {
    producer: Producer,
    worker: Worker,
    broker: Broker,
    handlers: BlockingRegistry<Attempt>,
    in_flight: BTreeMap<RequestId, Requester>,
    requests: u64,
    now: Moment,
    drained: bool,
}

impl World {
    fn new() -> Result<Self, Box<dyn Error>> {
        let mut handlers = BlockingRegistry::new();
        handlers.register(&FACTORIAL, factorial)?;
        let (capabilities, codec) = (Capabilities::broker(), Codec::plain());
        let channel = ChannelName::new("ivy-notifier")?;
        let of_producer = ProducerConfig::new(capabilities.clone(), codec.clone())
            .with_notifier(channel.clone())?;
        let of_worker = WorkerConfig::new(capabilities, codec)
            .with_task(TaskName::new(FACTORIAL.name())?, FACTORIAL.settings()?)
            .with_notifier(channel);
        // A real program takes each seed from the system, and the time of day from its clock.
        let wall = WallClock::default();
        Ok(World {
            producer: Producer::new(of_producer, [1; 32], wall),
            worker: Worker::new(of_worker, [2; 32], wall)?,
            broker: Broker::new(BrokerConfig::default(), [3; 32]),
            handlers,
            in_flight: BTreeMap::new(),
            requests: 0,
            now: Moment::EPOCH,
            drained: false,
        })
    }

    /// Executes everything that can be done now, and returns when there is more to do.
    fn settle(&mut self) -> Result<Moment, Box<dyn Error>> {
        loop {
            // In this order, the last round returns only deadlines.
            let deadlines = [self.poll_producer()?, self.poll_worker()?, self.poll_broker()?];
            if let [Some(producer), Some(worker), Some(broker)] = deadlines {
                return Ok(producer.min(worker).min(broker));
            }
        }
    }

    /// Executes the producer's next output; returns the time of its next deadline if it has none.
    fn poll_producer(&mut self) -> Result<Option<Moment>, Box<dyn Error>> {
        use producer::{Input, Output};
        match self.producer.poll_output() {
            Output::Queue(id, op) => self.request(Requester::Producer(id), op)?,
            Output::Subscribe(_) => self.producer.handle_input(Input::Subscribed, self.now)?,
            Output::Sent(id, sent) => self.print(&format!("task {id} is message {}", sent?)),
            Output::Result { outcome, .. } => {
                self.print(&format!("6! = {}", outcome.value::<u64>()?));
                let limit = Duration::from_secs(5);
                self.worker.handle_input(worker::Input::Drain { limit }, self.now)?;
            }
            Output::Released { id, release } => self.print(&format!("task {id} waits: {release}")),
            Output::Event(_) | Output::Finished => {}
            Output::Wait(deadline) => {
                return Ok(Some(deadline.map_or(Moment::FOREVER, |deadline| deadline.at)));
            }
        }
        Ok(None)
    }

    /// The same for the worker.
    fn poll_worker(&mut self) -> Result<Option<Moment>, Box<dyn Error>> {
        use worker::{Input, Output};
        match self.worker.poll_output() {
            Output::Queue(id, op) => self.request(Requester::Worker(id), op)?,
            Output::CancelQueue(op) => {
                self.in_flight.retain(
                    |_, requester| !matches!(requester, Requester::Worker(other) if *other == op),
                );
                let lost = Err(Fault::new(FaultKind::ReplyLost));
                self.worker.handle_input(Input::Queue(op, lost), self.now)?;
            }
            Output::Publish(op, publication) => {
                let payload = publication.payload.as_str().as_bytes().to_vec();
                let notice = producer::Input::Notice { channel: publication.channel, payload };
                self.producer.handle_input(notice, self.now)?;
                self.worker.handle_input(Input::Published(op, Ok(1)), self.now)?;
            }
            Output::Run(run) => {
                self.print(&format!("attempt {} of {}", run.attempt, run.max_attempts));
                let job = self.handlers.job(&run.task, Attempt(run.attempt), run.args);
                let outcome = job.ok_or("only tasks with a handler are run")?();
                self.worker.handle_input(Input::Job(run.job, outcome), self.now)?;
            }
            // A handler runs to its end before anything else happens, so there is none to notify.
            Output::Cancel(..) | Output::Interrupt(_) | Output::Event(_) => {}
            Output::Finished => self.drained = true,
            Output::Wait(deadline) => {
                return Ok(Some(deadline.map_or(Moment::FOREVER, |deadline| deadline.at)));
            }
        }
        Ok(None)
    }

    /// The same for the queue.
    fn poll_broker(&mut self) -> Result<Option<Moment>, Box<dyn Error>> {
        match self.broker.poll_output() {
            broker::Output::Response(request, reply) => {
                let reply = reply.map(QueueReply::from).map_err(Fault::from);
                match self.in_flight.remove(&request) {
                    Some(Requester::Producer(op)) => {
                        self.producer.handle_input(producer::Input::Queue(op, reply), self.now)?;
                    }
                    Some(Requester::Worker(op)) => {
                        self.worker.handle_input(worker::Input::Queue(op, reply), self.now)?;
                    }
                    None => {}
                }
                Ok(None)
            }
            broker::Output::Wait(deadline) => {
                Ok(Some(deadline.map_or(Moment::FOREVER, |deadline| deadline.at)))
            }
        }
    }

    fn request(&mut self, requester: Requester, op: QueueOp) -> Result<(), Box<dyn Error>> {
        self.requests += 1;
        let request = RequestId(self.requests);
        self.in_flight.insert(request, requester);
        self.broker.handle_input(broker::Input::Request(request, op.into()), self.now)?;
        Ok(())
    }

    /// Advances the time.
    fn pass_to(&mut self, moment: Moment) -> Result<(), Box<dyn Error>> {
        self.now = moment;
        self.broker.handle_input(broker::Input::Tick, moment)?;
        self.producer.handle_input(producer::Input::Tick, moment)?;
        self.worker.handle_input(worker::Input::Tick, moment)?;
        Ok(())
    }

    fn print(&self, what: &str) {
        println!("after {:.1} s: {what}", self.now.since(Moment::EPOCH).as_secs_f64());
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut world = World::new()?;
    let id = TaskId::from_random([9; 16]);
    let call = FACTORIAL.to_call(id, &(6,), &CallOptions::new(), ReplyTo::Handle)?;
    world.producer.handle_input(producer::Input::Calls(vec![call]), world.now)?;
    loop {
        let next = world.settle()?;
        if world.drained {
            return Ok(());
        }
        world.pass_to(next)?;
    }
}
