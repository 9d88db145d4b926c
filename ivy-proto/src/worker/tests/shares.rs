//! How queues with more messages than slots share a worker, over a slow network.

use std::collections::BTreeMap;
use std::time::Duration;

use super::scenario::{config, plain_body, queue};
use crate::id::{JobId, MessageId, OpId, Receipt, ReservationId};
use crate::name::QueueName;
use crate::queue::{
    Body, DeliveryCount, Fault, FaultKind, QueueInfo, QueueOp, QueueReply, ReceivedBody, Reserved,
    ReservedMessage,
};
use crate::time::{Moment, WallClock};
use crate::wire::RawJson;
use crate::worker::{Input, JobOutcome, Output, Worker, WorkerConfig};

/// Queues that always have messages, a slow network and slow handlers.
struct World {
    worker: Worker,
    now: Moment,
    reply_after: Duration,
    handler_takes: Duration,
    /// The queue whose replies are lost.
    silent: Option<QueueName>,
    due: BTreeMap<(Moment, u64), Due>,
    sequence: u64,
    started: BTreeMap<QueueName, u32>,
}

enum Due {
    Reply(OpId, QueueOp),
    Lost(OpId),
    End(JobId),
}

impl World {
    fn new(config: WorkerConfig, reply_after: Duration, handler_takes: Duration) -> Self {
        World {
            worker: Worker::new(config, [7; 32], WallClock::default()).unwrap(),
            now: Moment::EPOCH,
            reply_after,
            handler_takes,
            silent: None,
            due: BTreeMap::new(),
            sequence: 0,
            started: BTreeMap::new(),
        }
    }

    fn started(&self, queue: &QueueName) -> f64 {
        self.started.get(queue).copied().unwrap_or_default().into()
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.sequence += 1;
        self.due.insert((self.now + after, self.sequence), due);
    }

    fn feed(&mut self, input: Input) {
        self.worker.handle_input(input, self.now).unwrap();
        loop {
            match self.worker.poll_output() {
                Output::Queue(id, op) if op.queue() == self.silent.as_ref() => {
                    self.later(op.time_limit(), Due::Lost(id));
                }
                Output::Queue(id, op) => self.later(self.reply_after, Due::Reply(id, op)),
                Output::Run(run) => {
                    *self.started.entry(run.queue).or_default() += 1;
                    self.later(self.handler_takes, Due::End(run.job));
                }
                Output::Publish(id, _) => {
                    self.worker.handle_input(Input::Published(id, Ok(1)), self.now).unwrap();
                }
                Output::Wait(_) => return,
                _ => {}
            }
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        self.feed(Input::Tick);
        loop {
            let Output::Wait(deadline) = self.worker.poll_output() else { unreachable!() };
            let timer = deadline.map_or(Moment::FOREVER, |deadline| deadline.at);
            let due = self.due.first_key_value().map_or(Moment::FOREVER, |((at, _), _)| *at);
            if timer.min(due) > end {
                self.now = end;
                return;
            }
            self.now = timer.min(due);
            if timer <= due {
                self.feed(Input::Tick);
            } else if let Some((_, due)) = self.due.pop_first() {
                self.take(due);
            }
        }
    }

    fn take(&mut self, due: Due) {
        let input = match due {
            Due::Reply(id, op) => Input::Queue(id, Ok(self.reply(&op))),
            Due::Lost(id) => Input::Queue(id, Err(Fault::new(FaultKind::ReplyLost))),
            Due::End(job) => Input::Job(job, JobOutcome::Done(RawJson::parse("1").unwrap())),
        };
        self.feed(input);
    }

    fn reply(&mut self, op: &QueueOp) -> QueueReply {
        match op {
            QueueOp::Reserve { count, .. } => QueueReply::Reserved(Reserved {
                messages: (0..*count).map(|_| self.message()).collect(),
                unusable: 0,
            }),
            QueueOp::Touch { receipt, .. } => QueueReply::Touched(receipt.clone()),
            QueueOp::Release { .. } => QueueReply::Released,
            QueueOp::DeleteMany { receipts, .. } => QueueReply::all_deleted(receipts.items().len()),
            _ => QueueReply::Queue(Box::new(QueueInfo::new(queue()))),
        }
    }

    fn message(&mut self) -> ReservedMessage {
        self.sequence += 1;
        ReservedMessage {
            receipt: Receipt {
                message: MessageId::new(self.sequence.to_string()),
                reservation: ReservationId::new("r"),
            },
            body: ReceivedBody::Text(Body::new(plain_body())),
            deliveries: DeliveryCount::from_reserved_count(Some(1)),
        }
    }
}

fn name(queue: &str) -> QueueName {
    QueueName::new(queue).unwrap()
}

/// A worker of the test's own queue and of these routes, each with its weight.
fn weighted(routes: &[(&str, u32)], slots: usize) -> WorkerConfig {
    let start = config().with_concurrency(slots);
    routes.iter().fold(start, |config, (route, weight)| {
        config.with_route(name(route)).with_weight(name(route), *weight)
    })
}

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_queue_gets_its_share_for_any_slots_network_and_handlers() {
    for (route, slots) in [("a", 1), ("a", 4), ("a", 10), ("z", 4), ("z", 10)] {
        for handler_takes in [MILLISECOND / 10, MILLISECOND * 10, MILLISECOND * 1000] {
            for reply_after in [MILLISECOND / 10, MILLISECOND * 20] {
                let config = weighted(&[(route, 3)], slots);
                let mut world = World::new(config, reply_after, handler_takes);
                world.run_for((reply_after + handler_takes) * 200);
                let share = world.started(&name(route)) / world.started(&queue());
                assert!(
                    (2.8..=3.2).contains(&share),
                    "{share} with {slots} slots, {reply_after:?}, {handler_takes:?}, route {route}"
                );
            }
        }
    }
}

#[test]
fn several_queues_share_by_their_weights() {
    let mut world = World::new(weighted(&[("a", 2), ("z", 5)], 8), MILLISECOND, MILLISECOND * 20);
    world.run_for(MILLISECOND * 10_000);
    let one = world.started(&queue());
    for (route, weight) in [("a", 2.0), ("z", 5.0)] {
        let share = world.started(&name(route)) / one / weight;
        assert!((0.95..=1.05).contains(&share), "{share} of its share for {route}");
    }
}

#[test]
fn sharing_leaves_no_slot_unused() {
    let (slots, handler_takes) = (10, MILLISECOND * 100);
    let mut world = World::new(weighted(&[("a", 3)], slots), MILLISECOND, handler_takes);
    world.run_for(handler_takes * 100);
    let started = world.started(&queue()) + world.started(&name("a"));
    assert!(started >= 0.95 * 100.0 * slots as f64, "{started} in the time of 1000");
}

#[test]
fn a_queue_whose_replies_are_lost_delays_the_others_once_at_most() {
    let mut world = World::new(weighted(&[("a", 3)], 4), MILLISECOND, MILLISECOND * 100);
    world.run_for(MILLISECOND * 5_000);
    world.silent = Some(name("a"));
    let before = world.started(&queue());
    world.run_for(MILLISECOND * 60_000);
    let started = world.started(&queue()) - before;
    assert!(started >= 1_000.0, "{started} in a minute, of 2400 at most");
}
