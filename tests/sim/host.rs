//! Processes: a machine of the core, or a peer of the original, on a host with a clock of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ivy_proto::notify::NotifyFault;
use ivy_proto::producer::Producer;
use ivy_proto::queue::{Body, Fault, QueueReply};
use ivy_proto::worker::{JobOutcome, Worker};
use ivy_proto::{ChannelName, JobId, Moment, OpId, TaskId};

use crate::clock::Clock;
use crate::task::Who;

/// A process, or the place where one was.
pub(crate) struct Host {
    pub(crate) who: Who,
    pub(crate) machine: Machine,
    pub(crate) clock: Clock,
    /// Whether its clock was true and it never stood still, in this life.
    pub(crate) honest: bool,
    /// It stands still until then.
    pub(crate) paused_until: Moment,
    /// When its machine is to be told that time has passed.
    pub(crate) tick_at: Option<Moment>,
    /// Operations that its machine waits for, and those which it has cancelled.
    pub(crate) asked: BTreeMap<OpId, bool>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    /// Calls whose fate its producer has not told yet.
    pub(crate) calls: BTreeSet<TaskId>,
    /// Which subscription is the current one.
    pub(crate) subscription: u32,
    /// By when it must have finished, by its own clock.
    pub(crate) must_finish: Option<Moment>,
}

pub(crate) enum Machine {
    Worker(Box<Worker>),
    Producer(Box<Producer>),
    OriginalWorker,
    OriginalProducer,
    Down,
}

/// A handler that runs.
pub(crate) struct Job {
    pub(crate) task: usize,
    /// How it will end, if it is not stopped.
    pub(crate) end: End,
    /// Whether it ends when it is told to stop.
    pub(crate) obeys: bool,
    /// Only the end that was planned last counts.
    pub(crate) plan: u32,
}

/// How a handler ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Huge,
    Failed,
    FailedForGood,
    Panicked,
    BadArgs,
    Cancelled,
    /// With its process.
    Aborted,
}

/// What a process gets to hear.
pub(crate) enum Heard {
    Tick,
    /// The answer to an operation; for messages, when they were granted.
    Answer(OpId, Result<QueueReply, Fault>, Moment),
    Published(OpId, Result<u64, NotifyFault>),
    JobEnds(JobId, u32),
    Subscribed(u32),
    SubscriptionLost(u32, NotifyFault),
    Notice(u32, ChannelName, Body),
    Calls(Vec<usize>),
    Await(TaskId, Duration),
    Forget(TaskId),
    Meddle(Meddling),
    Drain(Duration),
    /// To a worker of the original.
    Original(crate::original::Heard),
}

/// What an operator does to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meddling {
    Pause,
    Resume,
    PauseNotifier,
    ResumeNotifier,
    Nudge,
}

impl Host {
    pub(crate) fn down(host: usize) -> Host {
        Host {
            who: Who { host, life: 0 },
            machine: Machine::Down,
            clock: Clock::honest(),
            honest: true,
            paused_until: Moment::EPOCH,
            tick_at: None,
            asked: BTreeMap::new(),
            jobs: BTreeMap::new(),
            calls: BTreeSet::new(),
            subscription: 0,
            must_finish: None,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        !matches!(self.machine, Machine::Down)
    }

    /// The process is gone, with all that was in its memory.
    pub(crate) fn die(&mut self) {
        let who = Who { host: self.who.host, life: self.who.life + 1 };
        *self = Host { who, ..Host::down(self.who.host) };
    }

    /// A new process begins its life here.
    pub(crate) fn come_up(&mut self, machine: Machine, clock: Clock, honest: bool) {
        self.machine = machine;
        self.clock = clock;
        self.honest = honest;
    }
}

impl End {
    pub(crate) fn outcome(self, task: usize) -> JobOutcome {
        let json = |text: &str| ivy_proto::wire::RawJson::parse(text).expect("it is JSON");
        match self {
            End::Done => JobOutcome::Done(json(&task.to_string())),
            End::Huge => JobOutcome::Done(json(&format!("\"{}\"", "x".repeat(1_100_000)))),
            End::Failed => JobOutcome::Failed("it did not work".into()),
            End::FailedForGood => {
                JobOutcome::Failed(ivy_proto::TaskError::fatal("it will never work"))
            }
            End::Panicked => JobOutcome::Panicked("index out of bounds".to_owned()),
            End::BadArgs => JobOutcome::BadArgs("a number was expected".to_owned()),
            End::Cancelled | End::Aborted => JobOutcome::Cancelled,
        }
    }
}
