//! Properties that are true for any sequence of inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::scenario::*;
use crate::event::{Event, TaskRef};
use crate::id::{JobId, OpId, Receipt, ReservationId};
use crate::misuse::Misuse;
use crate::name::TaskName;
use crate::notify::{NotifyFault, NotifyFaultKind};
use crate::queue::{
    Body, DeliveryCount, Fault, FaultKind, QueueInfo, QueueOp, QueueReply, ReceivedBody, Reserved,
    ReservedMessage,
};
use crate::task::TaskError;
use crate::time::{Moment, WallClock};
use crate::wire::crypto::samples::both;
use crate::wire::crypto::{BodyForm, Policy};
use crate::wire::{Codec, RawJson};
use crate::worker::effects::OpPurpose;
use crate::worker::{Input, JobOutcome, Load, Output, Timer, Worker, WorkerConfig};

/// One step; its numbers choose among the possibilities at that time.
#[derive(Clone, Debug)]
enum Step {
    Advance(u64),
    Reply(usize, u8),
    Publish(usize, u8),
    End(usize, u8),
    Pause,
    Resume,
    PauseNotifier,
    ResumeNotifier,
    Nudge,
    Wait(usize),
    GoOn(usize),
    Drain,
    ClockBack,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u64..20_000).prop_map(Step::Advance),
        12 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Reply(which, how)),
        2 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::Publish(which, how)),
        8 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Step::End(which, how)),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => Just(Step::PauseNotifier),
        1 => Just(Step::ResumeNotifier),
        1 => Just(Step::Nudge),
        2 => any::<usize>().prop_map(Step::Wait),
        1 => any::<usize>().prop_map(Step::GoOn),
        1 => Just(Step::Drain),
        1 => Just(Step::ClockBack),
    ]
}

/// Plays the queue, the notifier and the handlers at random, and checks the properties after each
/// step.
struct World {
    worker: Worker,
    now: Moment,
    in_flight: BTreeMap<OpId, QueueOp>,
    publishing: Vec<OpId>,
    running: Vec<JobId>,
    finished: bool,
    messages: u32,
    due: Option<Moment>,
    last_replied: Option<OpId>,
    ended: Option<JobId>,
    trace: Vec<String>,
    /// The numbers of handlers to run, of those that did not accept their arguments, and of those
    /// reported as ended.
    runs: usize,
    not_run: usize,
    executed: usize,
    fresh: Fresh,
}

/// What has been used and must not be used again.
#[derive(Default)]
struct Fresh {
    ops: BTreeSet<OpId>,
    jobs: BTreeSet<JobId>,
    /// Each sealed frame by its initialization vector, with the job that posted it; a notice
    /// belongs to none. The same frame may be sent again for the same purpose.
    frames: BTreeMap<String, (String, Option<JobId>)>,
}

impl Fresh {
    fn op(&mut self, id: OpId) {
        assert!(self.ops.insert(id), "an id was used twice");
    }

    fn frame(&mut self, frame: &str, job: Option<JobId>) {
        let Some(content) = frame.strip_prefix("$ivy2$k1$") else { return };
        // The last of its 22 characters also contains bits of the following bytes.
        let vector = content[..21].to_owned();
        let sealed = (frame.to_owned(), job);
        let first = self.frames.entry(vector).or_insert_with(|| sealed.clone());
        assert_eq!(*first, sealed, "a vector was used twice");
    }
}

const SLOTS: usize = 3;

impl World {
    fn new() -> Self {
        World::with(config())
    }

    /// A worker that accepts all formats and seals what it sends.
    fn sealing() -> Self {
        let policy = Policy::new(BodyForm::V2, [BodyForm::Plain, BodyForm::V2]).unwrap();
        let codec = Codec::new(&both().with_policy(policy)).unwrap();
        World::with(WorkerConfig { codec, ..config() })
    }

    fn with(config: WorkerConfig) -> Self {
        let config = config.with_concurrency(SLOTS);
        let worker = Worker::new(config, [1; 32], WallClock::new(UNIX_AT_START)).unwrap();
        let mut world = World {
            worker,
            now: Moment::EPOCH,
            in_flight: BTreeMap::new(),
            publishing: Vec::new(),
            running: Vec::new(),
            finished: false,
            messages: 0,
            due: None,
            last_replied: None,
            ended: None,
            trace: Vec::new(),
            runs: 0,
            not_run: 0,
            executed: 0,
            fresh: Fresh::default(),
        };
        world.feed(Input::Tick);
        world
    }

    fn feed(&mut self, input: Input) {
        if self.finished {
            return;
        }
        self.worker.handle_input(input, self.now).unwrap();
        loop {
            let output = self.worker.poll_output();
            self.trace.push(format!("{output:?}"));
            match output {
                Output::Queue(id, op) => {
                    self.fresh.op(id);
                    // An operation that was requested and abandoned at the same moment belongs to
                    // no job.
                    if let QueueOp::Post { messages, .. } = &op
                        && let Some(OpPurpose::Post(job)) =
                            self.worker.fx.in_flight.get(&id).map(|in_flight| &in_flight.purpose)
                    {
                        for message in messages.items() {
                            self.fresh.frame(message.body.as_str(), Some(*job));
                        }
                    }
                    self.in_flight.insert(id, op);
                }
                Output::CancelQueue(id) => assert!(self.in_flight.contains_key(&id)),
                Output::Publish(id, publication) => {
                    self.fresh.op(id);
                    self.fresh.frame(publication.payload.as_str(), None);
                    self.publishing.push(id);
                }
                Output::Run(run) => {
                    assert!(self.fresh.jobs.insert(run.job), "a job was run twice");
                    self.runs += 1;
                    self.running.push(run.job);
                }
                Output::Cancel(job, _) | Output::Interrupt(job) => {
                    assert!(self.running.contains(&job));
                }
                Output::Event(Event::TaskExecuted { .. }) => self.executed += 1,
                Output::Event(_) => {}
                Output::Finished => self.finished = true,
                Output::Wait(deadline) => {
                    self.due = deadline.as_ref().map(|deadline| deadline.at);
                    if let Some(deadline) = deadline {
                        assert!(
                            deadline.at > self.now,
                            "the deadline {deadline:?} is not in the future"
                        );
                        assert!(!self.finished, "a finished worker has no timer");
                    }
                    break;
                }
            }
        }
        assert!(self.running.len() <= SLOTS, "slots were exceeded");
        let load = self.worker.load();
        assert!(load.running + load.waiting <= SLOTS + 1, "too many messages are held: {load:?}");
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Advance(millis) => {
                self.now = self.now + Duration::from_millis(millis);
                self.feed(Input::Tick);
            }
            Step::Reply(which, how) => {
                if let Some(id) = pick(self.in_flight.keys().copied(), which) {
                    let op = self.in_flight.remove(&id).unwrap();
                    self.last_replied = Some(id);
                    let reply = self.reply(&op, how);
                    self.feed(Input::Queue(id, reply));
                }
            }
            Step::Publish(which, how) => {
                if let Some(id) = pick(self.publishing.iter().copied(), which) {
                    self.publishing.retain(|other| *other != id);
                    let kind = match how % 4 {
                        0 => NotifyFaultKind::Unreachable,
                        1 => NotifyFaultKind::ConnectionLost,
                        _ => return self.feed(Input::Published(id, Ok(1))),
                    };
                    self.feed(Input::Published(id, Err(NotifyFault::new(kind))));
                }
            }
            Step::End(which, how) => {
                if let Some(job) = pick(self.running.iter().copied(), which) {
                    self.running.retain(|other| *other != job);
                    self.ended = Some(job);
                    let outcome = match how % 7 {
                        0 => JobOutcome::Failed("no".into()),
                        1 => JobOutcome::Panicked("no".to_owned()),
                        2 => {
                            self.not_run += usize::from(!self.finished);
                            JobOutcome::BadArgs("no".to_owned())
                        }
                        3 => JobOutcome::Cancelled,
                        4 => JobOutcome::Failed(TaskError::later(Duration::from_secs(3))),
                        _ => JobOutcome::Done(RawJson::parse("1").unwrap()),
                    };
                    self.feed(Input::Job(job, outcome));
                }
            }
            Step::Pause => self.feed(Input::Pause),
            Step::Resume => self.feed(Input::Resume),
            Step::PauseNotifier => self.feed(Input::PauseNotifier),
            Step::ResumeNotifier => self.feed(Input::ResumeNotifier),
            Step::Nudge => self.feed(Input::Nudge(queue())),
            Step::Wait(which) => {
                if let Some(job) = pick(self.running.iter().copied(), which) {
                    let (id, name) = (task_id(), TaskName::new(TASK).unwrap());
                    let waits_for = TaskRef { id, name, queue: queue() };
                    self.feed(Input::Waits(job, waits_for));
                }
            }
            Step::GoOn(which) => {
                if let Some(job) = pick(self.running.iter().copied(), which) {
                    self.feed(Input::Resumes(job));
                }
            }
            Step::Drain => self.feed(Input::Drain { limit: Duration::from_secs(5) }),
            Step::ClockBack if self.finished => {}
            Step::ClockBack => {
                // Handle what is due by now.
                self.feed(Input::Tick);
                let before = format!("{:?}", self.worker);
                self.worker.handle_input(Input::Tick, Moment::EPOCH).unwrap();
                assert!(
                    format!("{:?}", self.worker) == before,
                    "an earlier moment changed the worker"
                );
            }
        }
    }

    /// Feeds a contract violation of the driver at a later moment.
    fn misuse(&mut self, input: Input, expected: Misuse) {
        let before = format!("{:?}", self.worker);
        let later = self.now + Duration::from_secs(3600);
        assert_eq!(self.worker.handle_input(input, later), Err(expected));
        assert!(format!("{:?}", self.worker) == before, "misuse changed the worker");
    }

    /// From now on everything succeeds, and no more messages arrive.
    fn calm(&mut self) {
        self.feed(Input::Resume);
        self.feed(Input::ResumeNotifier);
        for _ in 0..500 {
            while let Some(job) = self.running.pop() {
                self.feed(Input::Job(job, JobOutcome::Done(RawJson::parse("1").unwrap())));
            }
            while let Some(op) = self.publishing.pop() {
                self.feed(Input::Published(op, Ok(1)));
            }
            while let Some((id, op)) = self.in_flight.pop_first() {
                let reply = match op {
                    QueueOp::Reserve { .. } => QueueReply::Reserved(Reserved::default()),
                    op => self.reply(&op, 255).unwrap(),
                };
                self.feed(Input::Queue(id, Ok(reply)));
                self.now = self.now + Duration::from_millis(1);
            }
            self.now = self.due.unwrap_or(self.now).max(self.now);
            self.feed(Input::Tick);
        }
    }

    fn reply(&mut self, op: &QueueOp, how: u8) -> Result<QueueReply, Fault> {
        let kinds = [
            FaultKind::Unreachable,
            FaultKind::ReplyLost,
            FaultKind::ServerError,
            FaultKind::Unauthorized,
            FaultKind::LeaseLost,
            FaultKind::NoMessage,
            FaultKind::NoQueue,
            FaultKind::TooLarge,
            FaultKind::Refused,
        ];
        if how < 60 {
            return Err(Fault::new(kinds[usize::from(how) % kinds.len()]));
        }
        Ok(match op {
            QueueOp::Post { .. } => QueueReply::all_posted([crate::MessageId::new("99")]),
            QueueOp::Reserve { count, .. } => QueueReply::Reserved(Reserved {
                messages: (0..usize::from(how) % (count + 2)).map(|_| self.message(how)).collect(),
                unusable: usize::from(how % 2),
            }),
            QueueOp::Touch { receipt, .. } => QueueReply::Touched(Receipt {
                message: receipt.message.clone(),
                reservation: ReservationId::new(format!("{}t", receipt.reservation.as_str())),
            }),
            QueueOp::Release { .. } => QueueReply::Released,
            QueueOp::Delete { .. } => QueueReply::all_deleted(1),
            QueueOp::DeleteMany { receipts, .. } => {
                let entry = |number: usize| match (number + usize::from(how)) % (kinds.len() + 2) {
                    place if how < 120 && place < kinds.len() => Err(Fault::new(kinds[place])),
                    _ => Ok(()),
                };
                QueueReply::Deleted((0..receipts.items().len()).map(entry).collect())
            }
            _ => QueueReply::Queue(Box::new(QueueInfo::new(queue()))),
        })
    }

    fn message(&mut self, how: u8) -> ReservedMessage {
        self.messages += 1;
        let body = match how % 5 {
            0 => ReceivedBody::Missing,
            1 => ReceivedBody::Text(Body::new("nonsense")),
            2 => ReceivedBody::Text(Body::new(r#"{"name":"x","options":{},"args":[]}"#)),
            3 => ReceivedBody::Text(Body::new(our_body(1, Some(NOTICE_CHANNEL)))),
            _ => ReceivedBody::Text(Body::new(plain_body())),
        };
        ReservedMessage {
            receipt: Receipt {
                message: crate::MessageId::new(self.messages.to_string()),
                reservation: ReservationId::new("r"),
            },
            body,
            deliveries: DeliveryCount::from_reserved_count(Some(u32::from(how))),
        }
    }
}

fn pick<T>(from: impl ExactSizeIterator<Item = T>, which: usize) -> Option<T> {
    let len = from.len();
    let mut from = from;
    if len == 0 { None } else { from.nth(which % len) }
}

proptest! {
    #[test]
    fn slots_are_respected_deadlines_advance_and_replies_are_dispatched(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
    }

    #[test]
    fn no_operation_job_or_initialization_vector_is_used_twice(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut world = World::sealing();
        for step in &steps {
            world.take(step);
        }
        world.calm();
    }

    #[test]
    fn the_same_inputs_produce_the_same_outputs(steps in prop::collection::vec(step(), 0..100)) {
        let (mut one, mut other) = (World::new(), World::new());
        for step in &steps {
            one.take(step);
            other.take(step);
        }
        prop_assert_eq!(one.trace, other.trace);
    }

    #[test]
    fn misuse_changes_nothing(steps in prop::collection::vec(step(), 0..100)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        if world.finished {
            world.misuse(Input::Tick, Misuse::Finished);
            return Ok(());
        }
        if let Some(op) = world.last_replied {
            world.misuse(Input::Queue(op, Ok(QueueReply::all_deleted(1))), Misuse::UnknownOp(op));
            world.misuse(Input::Published(op, Ok(1)), Misuse::UnknownOp(op));
        }
        if let Some(op) = world.in_flight.keys().next().copied() {
            world.misuse(Input::Queue(op, Ok(QueueReply::Cleared)), Misuse::WrongReply(op));
        }
        if let Some(job) = world.ended {
            world.misuse(Input::Job(job, JobOutcome::Cancelled), Misuse::UnknownJob(job));
        }
    }

    #[test]
    fn before_its_deadline_a_tick_does_nothing(steps in prop::collection::vec(step(), 0..100)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        if let Some(due) = world.due {
            world.now = Moment::from_nanos(due.as_nanos() - 1).max(world.now);
            let outputs = world.trace.len();
            world.feed(Input::Tick);
            prop_assert_eq!(world.trace.len(), outputs + 1);
            prop_assert_eq!(world.due, Some(due));
        }
    }

    #[test]
    fn after_recovery_every_held_message_is_settled_and_only_polls_remain(
        steps in prop::collection::vec(step(), 0..100),
    ) {
        let mut world = World::new();
        for step in steps.iter().filter(|step| !matches!(step, Step::Drain)) {
            world.take(step);
        }
        world.calm();
        prop_assert_eq!(world.worker.load(), Load { held: 0, waiting: 0, running: 0, notice_bytes: 0 });
        let fx = &world.worker.fx;
        let is_poll = |purpose: &OpPurpose| matches!(purpose, OpPurpose::Poll { .. });
        prop_assert!(fx.in_flight.values().map(|in_flight| &in_flight.purpose).all(is_poll));
        while let Some(why) = world.worker.fx.timers.pop_due(Moment::FOREVER) {
            prop_assert!(matches!(why, Timer::Poll(_)), "{why:?}");
        }
    }

    #[test]
    fn a_failing_queue_is_polled_at_most_twice_a_second(
        kinds in prop::collection::vec(0..60u8, 1..20),
    ) {
        const MINUTE: Duration = Duration::from_secs(60);
        let mut world = World::new();
        let mut polls = 0;
        for how in kinds.iter().cycle() {
            while let Some((id, op)) = world.in_flight.pop_first() {
                polls += usize::from(matches!(op, QueueOp::Reserve { .. }));
                let fault = world.reply(&op, *how).unwrap_err();
                world.feed(Input::Queue(id, Err(fault)));
            }
            world.now = world.due.unwrap_or(Moment::EPOCH + MINUTE);
            if world.now >= Moment::EPOCH + MINUTE {
                break;
            }
            world.feed(Input::Tick);
        }
        prop_assert!(polls <= 2 * 60 + 4, "{polls} polls in a minute");
    }

    #[test]
    fn a_drain_ends_soon_after_its_limit(steps in prop::collection::vec(step(), 0..100)) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        world.take(&Step::Drain);
        world.take(&Step::Advance(5_000));
        world.take(&Step::Advance(1_001));
        prop_assert!(world.finished);
        prop_assert_eq!(world.executed + world.not_run, world.runs, "each run is reported once");
    }
}
