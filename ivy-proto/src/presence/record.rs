//! What a worker publishes about itself.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::event::{Part, TaskRef};
use crate::metrics::{TaskCounts, TaskKey};
use crate::name::{QueueName, TaskName};

use super::identity::{Identity, WorkerId};
use super::short_text::ShortText;

/// A worker's state at one time, and what it has counted since its start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The worker, from its start until its end.
    pub worker: WorkerId,
    /// The number of this record, from 1. A gap shows that records were lost.
    pub seq: u64,
    /// What it does.
    pub state: WorkerState,
    /// Its process.
    pub identity: Identity,
    /// When it started, by its own clock: Unix time in milliseconds.
    pub started: u64,
    /// How long it has been running, to the millisecond.
    pub up: Duration,
    /// How many handlers may run.
    pub slots: u64,
    /// How many handlers run.
    pub running: u64,
    /// How many messages it holds.
    pub held: u64,
    /// What keeps failing, at most ten parts.
    pub degraded: Vec<Degraded>,
    /// The physical queues that it serves.
    pub queues: Vec<QueuePresence>,
    /// The tasks that it has handlers for, at most 200.
    pub tasks: Vec<TaskName>,
    /// What did not fit.
    pub more: More,
    /// The handlers that have been running longest, at most 20, longest first.
    pub longest: Vec<RunningTask>,
    /// What it has counted since its start, for the 50 tasks that it started most often. The
    /// others are added under the name [`OTHER`](crate::metrics::OTHER).
    pub counts: BTreeMap<TaskKey, TaskCounts>,
}

/// What a worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WorkerState {
    /// It reserves messages and runs their tasks.
    Running,
    /// It was paused: it reserves nothing.
    Paused,
    /// It reserves nothing, and ends when its handlers have ended.
    Draining,
    /// It has drained. This is its last record.
    Gone,
}

/// A part of a worker that keeps failing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Degraded {
    /// The part.
    pub part: Part,
    /// The cause.
    pub why: ShortText,
}

/// A queue that a worker serves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueuePresence {
    /// The physical queue.
    pub name: QueueName,
    /// Whether requests to it, or its messages, keep failing.
    pub is_degraded: bool,
}

/// A handler that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunningTask {
    /// The task.
    pub task: TaskRef,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// How long it has been running, to the millisecond.
    pub running: Duration,
}

/// How much a record leaves out because it would be too large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct More {
    /// Further queues that the worker serves.
    pub queues: u64,
    /// Further tasks that it has handlers for.
    pub tasks: u64,
}

impl Record {
    /// `host:pid`, or the worker's id if it hides them.
    pub fn name(&self) -> impl fmt::Display + '_ {
        RecordName(self)
    }

    /// Whether the worker has a handler for this task. `None` if the record does not contain all
    /// names.
    #[must_use]
    pub fn registers(&self, task: &TaskName) -> Option<bool> {
        let is_listed = self.tasks.contains(task);
        (is_listed || self.more.tasks == 0).then_some(is_listed)
    }

    /// Whether the worker serves this physical queue. `None` if the record does not contain all
    /// queues.
    #[must_use]
    pub fn serves(&self, queue: &QueueName) -> Option<bool> {
        let is_listed = self.queues.iter().any(|served| served.name == *queue);
        (is_listed || self.more.queues == 0).then_some(is_listed)
    }
}

struct RecordName<'a>(&'a Record);

impl fmt::Display for RecordName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Record { worker, identity: Identity { host, pid, .. }, .. } = self.0;
        match (host, pid) {
            (Some(host), Some(pid)) => write!(f, "{host}:{pid}"),
            (Some(host), None) => write!(f, "{host}"),
            (None, Some(pid)) => write!(f, "process {pid}"),
            (None, None) => write!(f, "{worker}"),
        }
    }
}

impl WorkerState {
    const ALL: [WorkerState; 4] =
        [WorkerState::Running, WorkerState::Paused, WorkerState::Draining, WorkerState::Gone];

    /// The state's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            WorkerState::Running => "running",
            WorkerState::Paused => "paused",
            WorkerState::Draining => "draining",
            WorkerState::Gone => "gone",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        WorkerState::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

impl fmt::Display for WorkerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
