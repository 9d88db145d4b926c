//! The worker against the broker, over a network that loses requests and replies, with workers that
//! crash: no task is lost, and no message is deleted before its task is done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::scenario::*;
use crate::broker::{self, Broker, BrokerConfig, Request, RequestId};
use crate::id::{JobId, OpId};
use crate::name::QueueName;
use crate::queue::{Body, Fault, FaultKind, NewMessage, QueueReply};
use crate::rng::Rng;
use crate::time::{Moment, WallClock};
use crate::wire::RawJson;
use crate::worker::{Input, JobOutcome, Output, Worker};

const TASKS: u64 = 12;
const SLOTS: usize = 3;
/// The time with faults, and the time without faults that follows it.
const STORM: Duration = Duration::from_secs(120);
const CALM: Duration = Duration::from_secs(1_800);

/// The probabilities of faults of the network and the handlers, in percent.
#[derive(Clone, Copy, Debug)]
struct FaultRates {
    lose_request: u64,
    lose_reply: u64,
    fail: u64,
    hang: u64,
    crash: u64,
}

fn fault_rates() -> impl Strategy<Value = (u64, FaultRates)> {
    let percent = || prop_oneof![Just(0u64), 1u64..40];
    (any::<u64>(), percent(), percent(), percent(), 0u64..10, 0u64..3).prop_map(
        |(seed, lose_request, lose_reply, fail, hang, crash)| {
            (seed, FaultRates { lose_request, lose_reply, fail, hang, crash })
        },
    )
}

enum Due {
    Reply(OpId, Result<QueueReply, Fault>),
    End(JobId, JobOutcome),
}

struct World {
    rng: Rng,
    fault_rates: FaultRates,
    now: Moment,
    broker: Broker,
    worker: Worker,
    requests: BTreeMap<RequestId, (OpId, u64)>,
    requested: u64,
    /// The number of the current worker; replies to an earlier one are dropped.
    incarnation: u64,
    due: BTreeMap<(Moment, u64), (u64, Due)>,
    sequence: u64,
    done: BTreeSet<String>,
    executions: BTreeMap<String, u32>,
    job_of: BTreeMap<JobId, String>,
}

impl World {
    fn new(seed: u64, fault_rates: FaultRates) -> Self {
        let mut world = World {
            rng: Rng::from_number(seed),
            fault_rates,
            now: Moment::EPOCH,
            broker: Broker::new(BrokerConfig::default(), [3; 32]),
            worker: worker(seed),
            requests: BTreeMap::new(),
            requested: 0,
            incarnation: 0,
            due: BTreeMap::new(),
            sequence: 0,
            done: BTreeSet::new(),
            executions: BTreeMap::new(),
            job_of: BTreeMap::new(),
        };
        for number in 0..TASKS {
            let body = format!(
                "{{\"name\":\"{TASK}\",\"options\":{{\"maxRetries\":3}},\"args\":[\"task{number}\"]}}"
            );
            let message = NewMessage { body: Body::new(body), delay: Duration::ZERO };
            let request = Request::Post { queue: queue(), messages: vec![message] };
            let id = RequestId(u64::MAX - number);
            world.broker.handle_input(broker::Input::Request(id, request), world.now).unwrap();
        }
        world.feed(Input::Tick);
        world
    }

    fn happens(&mut self, percent: u64) -> bool {
        self.rng.up_to(99) < percent
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.sequence += 1;
        self.due.insert((self.now + after, self.sequence), (self.incarnation, due));
    }

    fn feed(&mut self, input: Input) {
        self.worker.handle_input(input, self.now).unwrap();
        loop {
            match self.worker.poll_output() {
                Output::Queue(op, operation) => {
                    if self.happens(self.fault_rates.lose_request) {
                        let limit = operation.time_limit();
                        let lost = Err(Fault::new(FaultKind::ReplyLost));
                        self.later(limit, Due::Reply(op, lost));
                        continue;
                    }
                    self.requested += 1;
                    let id = RequestId(self.requested);
                    self.requests.insert(id, (op, self.incarnation));
                    let request = broker::Input::Request(id, operation.into());
                    self.broker.handle_input(request, self.now).unwrap();
                }
                Output::Run(run) => {
                    let name = run.args.as_str().to_owned();
                    *self.executions.entry(name.clone()).or_default() += 1;
                    self.job_of.insert(run.job, name);
                    if self.happens(self.fault_rates.hang) {
                        continue;
                    }
                    let fails = self.happens(self.fault_rates.fail);
                    let outcome = if fails {
                        JobOutcome::Failed("no".into())
                    } else {
                        JobOutcome::Done(RawJson::parse("1").unwrap())
                    };
                    let took = Duration::from_millis(self.rng.up_to(40_000));
                    self.later(took, Due::End(run.job, outcome));
                }
                Output::Cancel(job, _) => {
                    // A hanging handler ends only when it is cancelled.
                    self.later(Duration::from_millis(1), Due::End(job, JobOutcome::Cancelled));
                }
                Output::Publish(op, _) => {
                    self.worker.handle_input(Input::Published(op, Ok(1)), self.now).unwrap();
                }
                Output::Event(_)
                | Output::CancelQueue(_)
                | Output::Interrupt(_)
                | Output::Finished => {}
                Output::Wait(_) => break,
            }
        }
        self.take_responses();
    }

    fn take_responses(&mut self) {
        while let broker::Output::Response(id, response) = self.broker.poll_output() {
            let Some((op, incarnation)) = self.requests.remove(&id) else { continue };
            if incarnation != self.incarnation {
                continue;
            }
            let mut response = response.map(QueueReply::from).map_err(Fault::from);
            if self.happens(self.fault_rates.lose_reply) {
                response = Err(Fault::new(FaultKind::ReplyLost));
            }
            let delay = Duration::from_millis(self.rng.up_to(300));
            self.later(delay, Due::Reply(op, response));
        }
    }

    /// A new worker replaces one that crashed; the leases of the old one end by themselves.
    fn crash(&mut self) {
        self.incarnation += 1;
        self.worker = worker(self.incarnation);
        self.job_of.clear();
        self.feed(Input::Tick);
    }

    fn run_until(&mut self, end: Moment) {
        while self.now < end {
            let mut next = end;
            if let Some(((at, _), _)) = self.due.first_key_value() {
                next = next.min(*at);
            }
            if let Output::Wait(Some(deadline)) = self.worker.poll_output() {
                next = next.min(deadline.at);
            }
            if let broker::Output::Wait(Some(deadline)) = self.broker.poll_output() {
                next = next.min(deadline.at);
            }
            self.now = next;
            self.broker.handle_input(broker::Input::Tick, self.now).unwrap();
            self.take_responses();
            while let Some(entry) = self.due.first_entry()
                && entry.key().0 <= self.now
            {
                let (incarnation, due) = entry.remove();
                if incarnation == self.incarnation {
                    self.take(due);
                }
            }
            self.feed(Input::Tick);
            if self.happens(self.fault_rates.crash) {
                self.crash();
            }
        }
    }

    fn take(&mut self, due: Due) {
        match due {
            Due::Reply(op, response) => self.feed(Input::Queue(op, response)),
            Due::End(job, outcome) => {
                let Some(name) = self.job_of.remove(&job) else { return };
                if matches!(outcome, JobOutcome::Done(_)) {
                    self.done.insert(name);
                }
                self.feed(Input::Job(job, outcome));
            }
        }
    }

    fn size(&mut self, queue: QueueName) -> u64 {
        let id = RequestId(0);
        let request = broker::Input::Request(id, Request::GetQueue { queue });
        self.broker.handle_input(request, self.now).unwrap();
        loop {
            match self.broker.poll_output() {
                broker::Output::Response(responded, response) if responded == id => {
                    let Ok(broker::Response::Queue(info)) = response else { return 0 };
                    return info.size.unwrap();
                }
                broker::Output::Response(..) => {}
                broker::Output::Wait(_) => {
                    unreachable!("the broker reports a queue's size immediately")
                }
            }
        }
    }

    fn dead_names(&mut self) -> Vec<String> {
        let queue = queue().dead_letter_queue().unwrap();
        let id = RequestId(0);
        let request = broker::Input::Request(id, Request::Peek { queue, count: 100 });
        self.broker.handle_input(request, self.now).unwrap();
        let mut names = Vec::new();
        while let broker::Output::Response(responded, response) = self.broker.poll_output() {
            if let (true, Ok(broker::Response::Peeked(views))) = (responded == id, response) {
                for view in views {
                    let letter = crate::wire::DeadLetter::parse(&view.body).unwrap();
                    let body = crate::wire::Envelope::parse(letter.body.as_str()).unwrap();
                    names.push(body.args.as_str().to_owned());
                }
            }
        }
        names
    }
}

fn worker(seed: u64) -> Worker {
    let mut bytes = [5; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = config().with_concurrency(SLOTS);
    Worker::new(config, bytes, WallClock::new(UNIX_AT_START)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_task_is_done_or_dead_lettered_despite_network_and_handler_faults(
        (seed, fault_rates) in fault_rates(),
    ) {
        let mut world = World::new(seed, fault_rates);
        world.run_until(Moment::EPOCH + STORM);
        let calm = FaultRates { lose_request: 0, lose_reply: 0, fail: 0, hang: 0, crash: 0 };
        world.fault_rates = calm;
        // Handlers that hang without a time limit would hold their slots indefinitely.
        world.crash();
        world.run_until(Moment::EPOCH + STORM + CALM);

        prop_assert_eq!(world.size(queue()), 0, "the queue is empty in the end");
        let dead = world.dead_names();
        for number in 0..TASKS {
            let name = format!("[\"task{number}\"]");
            prop_assert!(
                world.done.contains(&name) || dead.contains(&name),
                "{name} is neither done nor dead-lettered"
            );
        }
    }

    #[test]
    fn without_faults_every_task_is_run_exactly_once(seed in any::<u64>()) {
        let fault_rates = FaultRates { lose_request: 0, lose_reply: 0, fail: 0, hang: 0, crash: 0 };
        let mut world = World::new(seed, fault_rates);
        world.run_until(Moment::EPOCH + CALM);
        prop_assert_eq!(world.done.len() as u64, TASKS);
        prop_assert!(world.executions.values().all(|times| *times == 1), "{:?}", world.executions);
        prop_assert_eq!(world.size(queue()), 0);
    }
}
