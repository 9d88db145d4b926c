//! A worker between arbitrary handlers, an arbitrary queue, notifier and clock.

mod deliveries;

use std::collections::BTreeMap;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
use ivy_proto::queue::{
    Capabilities, Fault, FaultKind, QueueInfo, QueueOp, QueueReply, Reserved, Retry,
};
use ivy_proto::task::TaskSettings;
use ivy_proto::wire::{Codec, RawJson};
use ivy_proto::worker::{Input, JobOutcome, Output, Worker, WorkerConfig};
use ivy_proto::{
    ChannelName, JobId, MessageId, Misuse, Moment, OpId, Priority, QueueName, TaskError, TaskName,
    WallClock,
};

use super::{any_fault, pick};
use deliveries::{Deliveries, QueuedMessage};

/// The next input. Numbers that name something are taken modulo the number of candidates.
#[derive(Arbitrary, Debug)]
enum Step {
    Pass { millis: u16 },
    ToDeadline,
    ClockBack { millis: u16 },
    Response { which: u8, how: ReplyKind },
    Published { which: u8, how: u8 },
    Ended { which: u8, how: u8 },
    Pause,
    Resume,
    PauseNotifier,
    ResumeNotifier,
    Nudge,
    Drain { seconds: u8 },
    ReplyTwice,
    WrongReply { which: u8 },
    EndTwice,
}

/// How the queue replies.
#[derive(Arbitrary, Debug)]
enum ReplyKind {
    Fault { kind: u8, retry_after: Option<u16> },
    Success { messages: Vec<QueuedMessage>, unusable: u8 },
}

#[derive(Arbitrary, Debug)]
struct Setup {
    exact_counts: bool,
    long_poll: bool,
    notifier: bool,
}

/// Lists of inputs, including mistakes of the driver.
///
/// Checks that nothing is deleted before its handler returned or its copy was accepted (S2); each
/// request uses the newest receipt of a message, with none in flight for it (S4); no handler starts
/// late or twice on a lease (S5, S6); slots and deadlines (S7); the end (S9); notices follow what
/// they report (S10); misuse and a clock that goes back change nothing; and a worker that is polled
/// at the end has the same effects as one that is polled after each input (S14).
pub fn worker_inputs(input: &[u8]) {
    let mut input = Unstructured::new(input);
    let Ok(setup) = Setup::arbitrary(&mut input) else { return };
    let mut world = World::new(&setup);
    while !input.is_empty()
        && !world.finished
        && let Ok(step) = Step::arbitrary(&mut input)
    {
        world.take(step);
    }
    world.end();
}

const SLOTS: usize = 3;
const LEASE: Duration = Duration::from_secs(10);
/// How long a drain may last after its limit.
const SETTLEMENT_GRACE: Duration = Duration::from_secs(1);

struct World {
    worker: Worker,
    /// The same, polled only at the end.
    unpolled: Worker,
    now: Moment,
    due: Option<Moment>,
    in_flight: BTreeMap<OpId, QueueOp>,
    last_replied: Option<OpId>,
    publishing: Vec<OpId>,
    /// The running handlers, each with its message.
    running: BTreeMap<JobId, MessageId>,
    ended: Option<JobId>,
    finished: bool,
    deliveries: Deliveries,
    outputs: Vec<String>,
}

fn name(text: &str) -> TaskName {
    TaskName::new(text).expect("a name")
}

fn queue() -> QueueName {
    QueueName::new("q").expect("a name")
}

fn config(setup: &Setup) -> WorkerConfig {
    let mut capabilities = Capabilities::broker().with_retry(Retry::Successor);
    if !setup.long_poll {
        capabilities = capabilities.without_long_poll();
    }
    let mut slow = TaskSettings::in_queue(queue());
    slow.priority = Priority::HIGHEST;
    slow.reserve_time = Some(LEASE * 6);
    slow.time_limit = Some(LEASE);
    let config = WorkerConfig::new(capabilities, Codec::plain())
        .with_task(name("fast"), TaskSettings::in_queue(queue()))
        .with_task(name("slow"), slow)
        .with_concurrency(SLOTS)
        .with_lease(LEASE);
    if setup.notifier {
        config.with_notifier(ChannelName::new("ivy-notifier").expect("a name"))
    } else {
        config
    }
}

impl World {
    fn new(setup: &Setup) -> Self {
        let wall = WallClock::new(deliveries::UNIX_AT_START);
        let worker = || Worker::new(config(setup), [1; 32], wall).expect("a configuration");
        let mut world = World {
            worker: worker(),
            unpolled: worker(),
            now: Moment::EPOCH,
            due: None,
            in_flight: BTreeMap::new(),
            last_replied: None,
            publishing: Vec::new(),
            running: BTreeMap::new(),
            ended: None,
            finished: false,
            deliveries: Deliveries::new(setup.exact_counts),
            outputs: Vec::new(),
        };
        world.feed(|| Input::Tick);
        world
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Pass { millis } => self.pass(Duration::from_millis(millis.into())),
            Step::ToDeadline => {
                self.now = self.due.unwrap_or(self.now);
                self.feed(|| Input::Tick);
            }
            Step::ClockBack { millis } => self.clock_back(millis),
            Step::Response { which, how } => {
                if let Some(op) = pick(self.in_flight.keys().copied(), which) {
                    self.reply_to(op, how);
                }
            }
            Step::Published { which, how } => {
                if let Some(op) = pick(self.publishing.iter().copied(), which) {
                    self.publishing.retain(|other| *other != op);
                    self.feed(|| Input::Published(op, published(how)));
                }
            }
            Step::Ended { which, how } => {
                if let Some(job) = pick(self.running.keys().copied(), which) {
                    self.end_job(job, how);
                }
            }
            Step::Pause => self.feed(|| Input::Pause),
            Step::Resume => self.feed(|| Input::Resume),
            Step::PauseNotifier => self.feed(|| Input::PauseNotifier),
            Step::ResumeNotifier => self.feed(|| Input::ResumeNotifier),
            Step::Nudge => self.feed(|| Input::Nudge(queue())),
            Step::Drain { seconds } => {
                self.feed(|| Input::Drain { limit: Duration::from_secs(seconds.into()) });
            }
            Step::ReplyTwice => {
                if let Some(op) = self.last_replied {
                    let fault = || Err(Fault::new(FaultKind::ReplyLost));
                    self.misuse(|| Input::Queue(op, fault()), Misuse::UnknownOp(op));
                    self.misuse(|| Input::Published(op, Ok(1)), Misuse::UnknownOp(op));
                }
            }
            Step::WrongReply { which } => {
                if let Some(op) = pick(self.in_flight.keys().copied(), which) {
                    let reply = || Ok(QueueReply::QueueDeleted);
                    self.misuse(|| Input::Queue(op, reply()), Misuse::WrongReply(op));
                }
            }
            Step::EndTwice => {
                if let Some(job) = self.ended {
                    self.misuse(|| Input::Job(job, JobOutcome::Cancelled), Misuse::UnknownJob(job));
                }
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.feed(|| Input::Tick);
    }

    /// An earlier stamp counts as the last one.
    fn clock_back(&mut self, millis: u16) {
        let back = u64::from(millis) * 1_000_000;
        let earlier = Moment::from_nanos(self.now.as_nanos().saturating_sub(back));
        // Everything that is due by now is done.
        self.feed(|| Input::Tick);
        if self.finished {
            return;
        }
        let before = format!("{:?}", self.worker);
        for worker in [&mut self.worker, &mut self.unpolled] {
            worker.handle_input(Input::Tick, earlier).expect("no misuse");
        }
        assert!(format!("{:?}", self.worker) == before, "time went back");
    }

    fn misuse(&mut self, input: impl Fn() -> Input, expected: Misuse) {
        let later = self.now + Duration::from_secs(3600);
        let before = format!("{:?}", self.worker);
        for worker in [&mut self.worker, &mut self.unpolled] {
            assert_eq!(worker.handle_input(input(), later), Err(expected));
        }
        assert!(format!("{:?}", self.worker) == before, "misuse changed something");
    }

    fn feed(&mut self, input: impl Fn() -> Input) {
        if self.finished {
            return;
        }
        self.unpolled.handle_input(input(), self.now).expect("no misuse");
        self.worker.handle_input(input(), self.now).expect("no misuse");
        loop {
            let output = self.worker.poll_output();
            if let Output::Wait(deadline) = output {
                self.due = deadline.map(|deadline| deadline.at);
                break;
            }
            self.outputs.push(format!("{output:?}"));
            self.note(output);
        }
        assert!(self.due.is_none_or(|due| due > self.now && !self.finished));
        assert!(self.running.len() <= SLOTS, "more handlers than slots");
        // A finished worker does not wait for handlers that were cancelled.
        let running = if self.finished { 0 } else { self.running.len() };
        assert_eq!(self.worker.load().running, running);
    }

    fn note(&mut self, output: Output) {
        assert!(!self.finished, "{output:?} after the end");
        match output {
            Output::Queue(op, operation) => {
                self.deliveries.on_request(op, &operation, self.now);
                assert!(self.in_flight.insert(op, operation).is_none(), "an id was used twice");
            }
            Output::CancelQueue(op) => assert!(self.in_flight.contains_key(&op)),
            Output::Publish(op, publication) => {
                self.deliveries.published(&publication);
                self.publishing.push(op);
            }
            Output::Run(run) => {
                self.deliveries.started(&run.message, self.now);
                assert!((1..=run.max_attempts).contains(&run.attempt) || run.attempt > 1);
                self.running.insert(run.job, run.message);
            }
            Output::Cancel(job, _) | Output::Interrupt(job) => {
                assert!(self.running.contains_key(&job));
            }
            Output::Event(_) => {}
            Output::Finished => self.finished = true,
            Output::Wait(_) => {}
        }
    }

    fn reply_to(&mut self, op: OpId, how: ReplyKind) {
        let Some(operation) = self.in_flight.remove(&op) else { return };
        self.last_replied = Some(op);
        let result = match how {
            ReplyKind::Fault { kind, retry_after } => Err(any_fault(kind, retry_after)),
            ReplyKind::Success { messages, unusable } => {
                Ok(self.reply(&operation, &messages, usize::from(unusable)))
            }
        };
        self.deliveries.on_reply(op, &operation, &result, self.now);
        self.feed(|| Input::Queue(op, result.clone()));
    }

    fn reply(
        &mut self,
        operation: &QueueOp,
        messages: &[QueuedMessage],
        unusable: usize,
    ) -> QueueReply {
        match operation {
            QueueOp::Post { .. } => QueueReply::all_posted([MessageId::new("99")]),
            QueueOp::Reserve { queue, .. } => {
                let messages = messages.iter().map(|queued| self.deliveries.deliver(queue, queued));
                QueueReply::Reserved(Reserved { messages: messages.collect(), unusable })
            }
            QueueOp::Touch { receipt, .. } => QueueReply::Touched(self.deliveries.renew(receipt)),
            QueueOp::Release { .. } => QueueReply::Released,
            QueueOp::Delete { .. } => QueueReply::all_deleted(1),
            QueueOp::DeleteMany { receipts, .. } => QueueReply::all_deleted(receipts.items().len()),
            QueueOp::GetQueue { queue } | QueueOp::CreateQueue { queue } => {
                QueueReply::Queue(Box::new(QueueInfo::new(queue.clone())))
            }
            other => panic!("unexpected operation of a worker: {other:?}"),
        }
    }

    fn end_job(&mut self, job: JobId, how: u8) {
        let Some(message) = self.running.remove(&job) else { return };
        self.ended = Some(job);
        let outcome = || match how % 9 {
            0 => JobOutcome::Failed("no".into()),
            1 => JobOutcome::Panicked("no".to_owned()),
            2 => JobOutcome::BadArgs("no".to_owned()),
            3 => JobOutcome::Cancelled,
            4 => JobOutcome::Failed(TaskError::fatal("no")),
            7 => JobOutcome::ResultTooDeep,
            8 => JobOutcome::Failed(TaskError::later(Duration::from_secs(u64::from(how)))),
            5 => JobOutcome::NotRun,
            _ => JobOutcome::Done(RawJson::parse("1").expect("JSON")),
        };
        if matches!(outcome(), JobOutcome::Done(_) | JobOutcome::ResultTooDeep) {
            self.deliveries.done(&message);
        }
        self.feed(|| Input::Job(job, outcome()));
    }

    /// Whatever its state, a drain ends it in time, and then it stays ended.
    fn end(mut self) {
        self.feed(|| Input::Drain { limit: LEASE });
        if !self.finished {
            self.pass(LEASE);
        }
        if !self.finished {
            self.pass(SETTLEMENT_GRACE);
        }
        assert!(self.finished, "a drain does not end");
        self.misuse(|| Input::Nudge(queue()), Misuse::Finished);
        assert!(matches!(self.worker.poll_output(), Output::Wait(None)));
        for output in &self.outputs {
            assert_eq!(format!("{:?}", self.unpolled.poll_output()), *output);
        }
        assert!(matches!(self.unpolled.poll_output(), Output::Wait(None)));
    }
}

fn published(how: u8) -> Result<u64, NotifyFault> {
    match how % 4 {
        0 => Err(NotifyFault::new(NotifyFaultKind::Unreachable)),
        1 => Err(NotifyFault::new(NotifyFaultKind::ConnectionLost)),
        _ => Ok(1),
    }
}
