//! The text of a record: JSON, with a version.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{Part, ReleaseReason, TaskRef};
use crate::metrics::{Execution, Histogram, Scale, TaskCounts, TaskKey};
use crate::name::{InvalidName, QueueName, TaskName};

use super::bad_presence::BadPresence;
use super::identity::Identity;
use super::record::{Degraded, More, QueuePresence, Record, RunningTask, WorkerState};
use super::short_text::ShortText;

/// The version of the text.
const VERSION: u64 = 1;

impl Record {
    /// The record as JSON.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(&WireRecord::of(self)).expect("it has no keys that are not texts")
    }

    /// Reads a record. Unknown fields are ignored.
    ///
    /// # Errors
    /// If it is not a record of a supported version.
    pub fn parse(text: &str) -> Result<Self, BadPresence> {
        let Versioned { v } = read(text)?;
        if v != VERSION {
            return Err(BadPresence::UnsupportedVersion(v));
        }
        read::<WireRecord<'_>>(text)?.to_record()
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, BadPresence> {
    serde_json::from_str(text).map_err(|error| {
        BadPresence::Invalid(match error.classify() {
            serde_json::error::Category::Data => "a field is missing or of another type",
            _ => "it is not JSON",
        })
    })
}

#[derive(Deserialize)]
struct Versioned {
    v: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireRecord<'a> {
    v: u64,
    #[serde(borrow)]
    id: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    state: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    host: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    runtime: Cow<'a, str>,
    started: u64,
    up: u64,
    slots: u64,
    running: u64,
    held: u64,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<WireDegraded<'a>>,
    #[serde(borrow)]
    queues: Vec<WireQueue<'a>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    more_queues: u64,
    #[serde(borrow)]
    tasks: Vec<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_zero")]
    more_tasks: u64,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    longest: Vec<WireRunning<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    counts: Vec<WireCounts<'a>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireDegraded<'a> {
    #[serde(borrow)]
    part: Cow<'a, str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    queue: Option<Cow<'a, str>>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    task: Option<Cow<'a, str>>,
    #[serde(borrow)]
    why: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireQueue<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_false")]
    degraded: bool,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WireRunning<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    task: Cow<'a, str>,
    #[serde(borrow)]
    queue: Cow<'a, str>,
    attempt: u32,
    running: u64,
}

/// Counts of 0 are left out.
#[derive(Serialize, Deserialize)]
pub(super) struct WireCounts<'a> {
    #[serde(borrow)]
    queue: Cow<'a, str>,
    #[serde(borrow)]
    task: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    started: u64,
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    executed: BTreeMap<Cow<'a, str>, u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    retried: u64,
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    released: BTreeMap<Cow<'a, str>, u64>,
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    dead: BTreeMap<Cow<'a, str>, u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    lost: u64,
    /// The sum in microseconds, and the buckets up to the last one that is not empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    wait: Vec<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    run: Vec<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl<'a> WireRecord<'a> {
    fn of(record: &'a Record) -> Self {
        let Identity { version, runtime, host, pid } = &record.identity;
        WireRecord {
            v: VERSION,
            id: record.worker.to_string().into(),
            seq: record.seq,
            state: record.state.as_str().into(),
            host: host.as_ref().map(|host| host.as_str().into()),
            pid: *pid,
            version: version.as_str().into(),
            runtime: runtime.as_str().into(),
            started: record.started,
            up: millis(record.up),
            slots: record.slots,
            running: record.running,
            held: record.held,
            degraded: record.degraded.iter().map(WireDegraded::of).collect(),
            queues: record.queues.iter().map(WireQueue::of).collect(),
            more_queues: record.more.queues,
            tasks: record.tasks.iter().map(|task| task.as_str().into()).collect(),
            more_tasks: record.more.tasks,
            longest: record.longest.iter().map(WireRunning::of).collect(),
            counts: record.counts.iter().map(|(key, counts)| WireCounts::of(key, counts)).collect(),
        }
    }

    fn to_record(&self) -> Result<Record, BadPresence> {
        let identity = Identity {
            version: short(&self.version)?,
            runtime: short(&self.runtime)?,
            host: self.host.as_deref().map(short).transpose()?,
            pid: self.pid,
        };
        // Without it, a gap could not be recognised.
        if self.seq == 0 {
            return Err(BadPresence::Invalid("its number is 0, and the first record is number 1"));
        }
        // It determines how the record must be protected.
        if self.queues.is_empty() {
            return Err(BadPresence::Invalid("it names no queue"));
        }
        let counts = self.counts.iter().map(WireCounts::to_counts);
        Ok(Record {
            worker: self.id.parse().map_err(|_| BadPresence::Invalid("the id is invalid"))?,
            seq: self.seq,
            state: WorkerState::from_name(&self.state)
                .ok_or(BadPresence::Invalid("the state is unknown"))?,
            identity,
            started: self.started,
            up: Duration::from_millis(self.up),
            slots: self.slots,
            running: self.running,
            held: self.held,
            degraded: collect(self.degraded.iter().map(WireDegraded::to_degraded))?,
            queues: collect(self.queues.iter().map(WireQueue::to_queue))?,
            tasks: collect(self.tasks.iter().map(|task| name(TaskName::new(task))))?,
            more: More { queues: self.more_queues, tasks: self.more_tasks },
            longest: collect(self.longest.iter().map(WireRunning::to_running))?,
            counts: counts.collect::<Result<_, BadPresence>>()?,
        })
    }
}

impl<'a> WireDegraded<'a> {
    pub(super) fn of(degraded: &'a Degraded) -> Self {
        let (part, queue, task) = match &degraded.part {
            Part::Queue(queue) => ("queue", Some(queue), None),
            Part::Messages(queue) => ("messages", Some(queue), None),
            Part::Task { task, queue } => ("task", Some(queue), Some(task)),
            Part::Notifier => ("notifier", None, None),
        };
        WireDegraded {
            part: part.into(),
            queue: queue.map(|queue| queue.as_str().into()),
            task: task.map(|task| task.as_str().into()),
            why: degraded.why.as_str().into(),
        }
    }

    fn to_degraded(&self) -> Result<Degraded, BadPresence> {
        let missing = || BadPresence::Invalid("a degraded part has no queue or task");
        let queue = self.queue.as_deref().map(|queue| name(QueueName::new(queue))).transpose()?;
        let task = self.task.as_deref().map(|task| name(TaskName::new(task))).transpose()?;
        let queue = || queue.clone().ok_or_else(missing);
        let part = match &*self.part {
            "queue" => Part::Queue(queue()?),
            "messages" => Part::Messages(queue()?),
            "task" => Part::Task { task: task.ok_or_else(missing)?, queue: queue()? },
            "notifier" => Part::Notifier,
            _ => return Err(BadPresence::Invalid("a degraded part is unknown")),
        };
        Ok(Degraded { part, why: short(&self.why)? })
    }
}

impl<'a> WireQueue<'a> {
    pub(super) fn of(queue: &'a QueuePresence) -> Self {
        WireQueue { name: queue.name.as_str().into(), degraded: queue.is_degraded }
    }

    fn to_queue(&self) -> Result<QueuePresence, BadPresence> {
        let name = name(QueueName::new(&self.name))?;
        Ok(QueuePresence { name, is_degraded: self.degraded })
    }
}

impl<'a> WireRunning<'a> {
    pub(super) fn of(running: &'a RunningTask) -> Self {
        let TaskRef { id, name, queue } = &running.task;
        WireRunning {
            id: id.to_string().into(),
            task: name.as_str().into(),
            queue: queue.as_str().into(),
            attempt: running.attempt,
            running: millis(running.running),
        }
    }

    fn to_running(&self) -> Result<RunningTask, BadPresence> {
        let task = TaskRef {
            id: self.id.parse().map_err(|_| BadPresence::Invalid("a task id is invalid"))?,
            name: name(TaskName::new(&self.task))?,
            queue: name(QueueName::new(&self.queue))?,
        };
        let running = Duration::from_millis(self.running);
        Ok(RunningTask { task, attempt: self.attempt, running })
    }
}

impl<'a> WireCounts<'a> {
    pub(super) fn of(key: &'a TaskKey, counts: &TaskCounts) -> Self {
        let executed = counts.executed.iter().filter(|(_, count)| *count > 0);
        let released = counts.released.iter().filter(|(_, count)| **count > 0);
        let dead = counts.dead.iter().filter(|(_, count)| **count > 0);
        WireCounts {
            queue: key.queue.as_str().into(),
            task: key.task.as_str().into(),
            started: counts.started,
            executed: executed.map(|(outcome, count)| (outcome.as_str().into(), count)).collect(),
            retried: counts.retried,
            released: released.map(|(reason, count)| (reason.as_str().into(), *count)).collect(),
            dead: dead.map(|(reason, count)| (reason.as_str().into(), *count)).collect(),
            lost: counts.leases_lost,
            wait: histogram(&counts.wait),
            run: histogram(&counts.run),
        }
    }

    /// Outcomes and reasons that are unknown here are ignored: they may be newer.
    fn to_counts(&self) -> Result<(TaskKey, TaskCounts), BadPresence> {
        let key = TaskKey {
            queue: name(QueueName::new(&self.queue))?,
            task: name(TaskName::new(&self.task))?,
        };
        let mut counts = TaskCounts {
            started: self.started,
            retried: self.retried,
            leases_lost: self.lost,
            wait: to_histogram(&self.wait)?,
            run: to_histogram(&self.run)?,
            ..TaskCounts::default()
        };
        for outcome in Execution::ALL {
            let count = self.executed.get(outcome.as_str()).copied();
            counts.executed.add(*outcome, count.unwrap_or_default());
        }
        for (reason, count) in &self.released {
            if let Some(reason) = ReleaseReason::from_name(reason) {
                counts.released.insert(reason, *count);
            }
        }
        for (reason, count) in &self.dead {
            if let Ok(reason) = reason.parse() {
                counts.dead.insert(reason, *count);
            }
        }
        Ok((key, counts))
    }
}

/// The sum in microseconds, and the buckets up to the last one that is not empty; nothing if the
/// histogram is empty.
fn histogram(histogram: &Histogram) -> Vec<u64> {
    let buckets = histogram.buckets();
    let used = buckets.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
    let micros = u64::try_from(histogram.sum().as_micros()).unwrap_or(u64::MAX);
    if used == 0 && micros == 0 {
        return Vec::new();
    }
    std::iter::once(micros).chain(buckets.iter().take(used).copied()).collect()
}

fn to_histogram(wire: &[u64]) -> Result<Histogram, BadPresence> {
    let Some((micros, buckets)) = wire.split_first() else {
        return Ok(Histogram::new(Scale::Tasks));
    };
    Histogram::from_parts(Scale::Tasks, buckets, *micros)
        .ok_or(BadPresence::Invalid("a histogram has too many buckets"))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn short(text: &str) -> Result<ShortText, BadPresence> {
    ShortText::new(text).ok_or(BadPresence::Invalid("a text is too long or cannot be printed"))
}

fn name<T>(name: Result<T, InvalidName>) -> Result<T, BadPresence> {
    name.map_err(|_| BadPresence::Invalid("a name is invalid"))
}

fn collect<T>(items: impl Iterator<Item = Result<T, BadPresence>>) -> Result<Vec<T>, BadPresence> {
    items.collect()
}
