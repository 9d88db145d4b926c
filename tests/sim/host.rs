//! Processes: a machine of the core, or a peer of the Node package, on a host with a clock of its
//! own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ivy_proto::backend::ConnectionId;
use ivy_proto::notify::NotifyFault;
use ivy_proto::producer::Producer;
use ivy_proto::queue::{Body, Fault, QueueReply};
use ivy_proto::worker::{JobOutcome, Worker};
use ivy_proto::{
    ChannelName, JobId, MessageId, Moment, OpId, QueueName, Receipt, TaskId, WallClock,
};

use crate::clock::{Clock, HostWallClock};
use crate::redis_sessions::ConnectionInput;
use crate::state_coverage::{Kind, SubscriptionState, WorkerState};
use crate::task::ProcessId;

/// A host and its process, if one runs.
pub(crate) struct Host {
    pub(crate) process: ProcessId,
    pub(crate) machine: Machine,
    pub(crate) clock: Clock,
    pub(crate) wall: HostWallClock,
    /// Whether its clock was correct and it never stalled, since this process started.
    pub(crate) is_undisturbed: bool,
    /// It stalls until then.
    pub(crate) paused_until: Moment,
    /// When the next tick is due.
    pub(crate) tick_at: Option<Moment>,
    /// Operations that its machine waits for.
    pub(crate) pending: BTreeMap<OpId, PendingOp>,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    /// Calls whose outcome its producer has not reported yet.
    pub(crate) calls: BTreeSet<TaskId>,
    /// Handles that its application holds and whose results have not arrived.
    pub(crate) handles: BTreeSet<TaskId>,
    /// Notices that its machine publishes and that have no reply yet, with their sizes.
    pub(crate) publishing: BTreeMap<OpId, usize>,
    /// The number of its current connection to the queue's server.
    pub(crate) connection_number: u32,
    /// The number of its current subscription.
    pub(crate) subscription: u32,
    /// By when it must have finished, by its own clock.
    pub(crate) finish_deadline: Option<Moment>,
    /// When the limit of its drain passes, by its own clock.
    pub(crate) drain_limit: Option<Moment>,
    /// Whether a fault since this process started may prevent it from settling its messages.
    pub(crate) had_fault: bool,
    /// Whether it has not yet carried out all of its machine's outputs.
    pub(crate) has_outputs_left: bool,
    pub(crate) worker_state: WorkerState,
    pub(crate) subscription_state: SubscriptionState,
}

/// An operation that a machine waits for.
pub(crate) struct PendingOp {
    pub(crate) kind: Kind,
    pub(crate) queue: QueueName,
    /// The one message that it deletes.
    pub(crate) deletes: Option<Receipt>,
    /// The message that it releases.
    pub(crate) releases: Option<MessageId>,
    /// The receipt whose lease it renews, and when the renewed lease ends, by its own clock.
    pub(crate) renews: Option<(Receipt, Moment)>,
    /// The machine's wall clock when it sent the request.
    pub(crate) wall: WallClock,
    /// Whether the reply is in flight.
    pub(crate) has_reply: bool,
}

pub(crate) enum Machine {
    Worker(Box<Worker>),
    Producer(Box<Producer>),
    NodeWorker,
    NodeProducer,
    Down,
}

/// A running handler.
pub(crate) struct Job {
    pub(crate) task: usize,
    /// How it will end unless it is cancelled.
    pub(crate) end: HandlerEnd,
    /// Whether it ends when it is cancelled.
    pub(crate) stops_when_cancelled: bool,
    /// The number of the end that was planned last: only that one counts.
    pub(crate) end_number: u32,
    pub(crate) is_cancelled: bool,
    /// Whether it waits for the result of another task.
    pub(crate) waits: bool,
    /// Its waits were ended, because its worker drains.
    pub(crate) interrupted: bool,
}

/// How a handler ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandlerEnd {
    Done,
    Huge,
    TooDeep,
    Failed,
    FailedFatally,
    Panicked,
    BadArgs,
    /// It postpones its task.
    Postponed,
    /// It was not run.
    NotRun,
    Cancelled,
    /// With its process.
    Aborted,
}

/// An input of a process.
pub(crate) enum ProcessInput {
    Tick,
    /// Nothing new: it continues to carry out its machine's outputs.
    Continue,
    /// The reply to an operation; for messages, when they were granted.
    Reply(OpId, Result<QueueReply, Fault>, Moment),
    /// Its connection to the queue's server has ended; the connection's number.
    ConnectionEnds(u32),
    Published(OpId, Result<u64, NotifyFault>),
    JobEnds(JobId, u32),
    /// A handler waits for the result of another task.
    Waits(JobId),
    /// It continues.
    Resumes(JobId),
    Subscribed(u32),
    SubscriptionLost(u32, NotifyFault),
    Notice(u32, ChannelName, Body),
    Calls(Vec<usize>),
    WaitEnds(TaskId),
    Forget(TaskId),
    OperatorAction(OperatorAction),
    /// A message may be ready in the queue that it serves.
    Nudge,
    Drain(Duration),
    /// For its session: something happened to one of its connections.
    Connection(ConnectionId, ConnectionInput),
    /// For its session: time has passed.
    SessionTick,
    /// For a worker of the Node package.
    Node(crate::node_peer::NodeInput),
}

/// What an operator does to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperatorAction {
    Pause,
    Resume,
    PauseNotifier,
    ResumeNotifier,
}

impl Host {
    pub(crate) fn down(host: usize) -> Host {
        Host {
            process: ProcessId { host, incarnation: 0 },
            machine: Machine::Down,
            clock: Clock::true_clock(),
            wall: HostWallClock::correct(Moment::EPOCH),
            is_undisturbed: true,
            paused_until: Moment::EPOCH,
            tick_at: None,
            pending: BTreeMap::new(),
            jobs: BTreeMap::new(),
            calls: BTreeSet::new(),
            handles: BTreeSet::new(),
            publishing: BTreeMap::new(),
            connection_number: 0,
            subscription: 0,
            finish_deadline: None,
            drain_limit: None,
            had_fault: false,
            has_outputs_left: false,
            worker_state: WorkerState::New,
            subscription_state: SubscriptionState::Idle,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        !matches!(self.machine, Machine::Down)
    }

    /// The process has died, with everything in its memory.
    pub(crate) fn die(&mut self) {
        let ProcessId { host, incarnation } = self.process;
        let process = ProcessId { host, incarnation: incarnation + 1 };
        *self = Host { process, ..Host::down(host) };
    }

    /// The state of its machine, as its driver sees it.
    pub(crate) fn state(&self, now: Moment) -> &'static str {
        match &self.machine {
            Machine::Worker(_) => {
                let late = self.drain_limit.is_some_and(|limit| self.clock.show(now) >= limit);
                let state = if late { WorkerState::SettlementGrace } else { self.worker_state };
                state.name()
            }
            Machine::Producer(_) => self.subscription_state.name(self.drain_limit.is_some()),
            _ => "other",
        }
    }

    /// Starts a new process on this host.
    pub(crate) fn start(
        &mut self,
        machine: Machine,
        clock: Clock,
        wall: HostWallClock,
        is_undisturbed: bool,
    ) {
        self.machine = machine;
        self.clock = clock;
        self.wall = wall;
        self.is_undisturbed = is_undisturbed;
    }
}

impl ProcessInput {
    /// The input's name in the S11 table, for processes without a state of their own.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            ProcessInput::Tick => "tick",
            ProcessInput::Continue => "continue",
            ProcessInput::Reply(..) => "reply",
            ProcessInput::ConnectionEnds(_) => "connection ended",
            ProcessInput::Published(_, Ok(_)) => "published",
            ProcessInput::Published(_, Err(_)) => "not published",
            ProcessInput::JobEnds(..) => "job",
            ProcessInput::Waits(_) => "waits",
            ProcessInput::Resumes(_) => "resumes",
            ProcessInput::Subscribed(_) => "subscribed",
            ProcessInput::SubscriptionLost(..) => "subscription lost",
            ProcessInput::Notice(..) => "notice",
            ProcessInput::Calls(_) => "calls",
            ProcessInput::WaitEnds(_) => "wait ends",
            ProcessInput::Forget(_) => "forget",
            ProcessInput::OperatorAction(OperatorAction::Pause) => "pause",
            ProcessInput::OperatorAction(OperatorAction::Resume) => "resume",
            ProcessInput::OperatorAction(OperatorAction::PauseNotifier) => "pause notifier",
            ProcessInput::OperatorAction(OperatorAction::ResumeNotifier) => "resume notifier",
            ProcessInput::Nudge => "nudge",
            ProcessInput::Drain(_) => "drain",
            ProcessInput::Connection(..) | ProcessInput::SessionTick => "connection",
            ProcessInput::Node(_) => "node",
        }
    }
}

impl HandlerEnd {
    pub(crate) fn outcome(self, task: usize) -> JobOutcome {
        let json =
            |text: &str| ivy_proto::wire::RawJson::parse(text).expect("the result is valid JSON");
        match self {
            HandlerEnd::Done => JobOutcome::Done(json(&task.to_string())),
            HandlerEnd::Huge => JobOutcome::Done(json(&format!("\"{}\"", "x".repeat(1_100_000)))),
            HandlerEnd::TooDeep => JobOutcome::ResultTooDeep,
            HandlerEnd::Failed => JobOutcome::Failed("it did not work".into()),
            HandlerEnd::FailedFatally => {
                JobOutcome::Failed(ivy_proto::TaskError::fatal("it will never work"))
            }
            HandlerEnd::Postponed => {
                let delay = Duration::from_secs(task as u64 % 4);
                JobOutcome::Failed(ivy_proto::TaskError::later(delay))
            }
            HandlerEnd::Panicked => JobOutcome::Panicked("index out of bounds".to_owned()),
            HandlerEnd::BadArgs => JobOutcome::BadArgs("a number was expected".to_owned()),
            HandlerEnd::NotRun => JobOutcome::NotRun,
            HandlerEnd::Cancelled | HandlerEnd::Aborted => JobOutcome::Cancelled,
        }
    }
}
