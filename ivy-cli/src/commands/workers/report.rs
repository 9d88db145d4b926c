//! Workers that published a presence record while the command listened, as a table and as JSON.

use ivy_proto::TaskName;
use ivy_proto::inspect::Span;
use ivy_proto::presence::{Degraded, HeardWorker, Liveness, QueuePresence, RunningTask};
use serde::Serialize;

use crate::commands::heard::SILENCE;
use crate::commands::time::seconds;
use crate::output::{Column, Page, Report};

/// The most names that a cell shows; the rest are counted.
const MAX_NAMES: usize = 3;

pub(super) struct Workers {
    pub(super) workers: Vec<HeardWorker>,
    /// The number of workers, and how long the command listened.
    pub(super) summary: String,
}

const COLUMNS: [Column; 10] = [
    Column::left("WORKER"),
    Column::left("STATE"),
    Column::right("HEARD"),
    Column::right("UP"),
    Column::right("RUNNING"),
    Column::right("HELD"),
    Column::left("QUEUES"),
    Column::left("TASKS"),
    Column::left("LONGEST"),
    Column::left("VERSION"),
];

impl Report for Workers {
    type Record<'a> = WorkerJson<'a>;

    fn page(&self, page: &mut Page) {
        page.table(&COLUMNS, self.workers.iter().map(cells));
        for worker in &self.workers {
            for Degraded { part, why, .. } in &worker.record.degraded {
                page.line(&format!("{} is degraded: {part}: {why}", worker.record.name()));
            }
        }
        page.line(&format!("{}; {SILENCE}", self.summary));
    }

    fn records(&self) -> impl Iterator<Item = WorkerJson<'_>> {
        self.workers.iter().map(WorkerJson::of)
    }
}

fn cells(worker: &HeardWorker) -> Vec<Option<String>> {
    let record = &worker.record;
    let queues = record.queues.iter().map(|queue| queue.name.as_str());
    let tasks = record.tasks.iter().map(TaskName::as_str);
    let longest = record.longest.first().map(|longest| {
        let RunningTask { task, running, .. } = longest;
        format!("{} {}", task.name, Span(*running))
    });
    vec![
        Some(record.name().to_string()),
        Some(state(worker).to_owned()),
        Some(format!("{} ago", Span(worker.silence))),
        Some(Span(record.up).to_string()),
        Some(format!("{}/{}", record.running, record.slots)),
        Some(record.held.to_string()),
        first_names(queues, record.more.queues),
        first_names(tasks, record.more.tasks),
        longest,
        Some(format!("{} {}", record.identity.version, record.identity.runtime)),
    ]
}

/// The state that the worker reported, unless it is silent or degraded.
fn state(worker: &HeardWorker) -> &'static str {
    match worker.liveness {
        Liveness::Silent => "silent",
        _ if !worker.record.degraded.is_empty() => "degraded",
        _ => worker.record.state.as_str(),
    }
}

/// The first names, and how many more there are.
fn first_names<'a>(names: impl ExactSizeIterator<Item = &'a str>, more: u64) -> Option<String> {
    let more = more + names.len().saturating_sub(MAX_NAMES) as u64;
    let mut text = names.take(MAX_NAMES).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" +{more}");
    }
    (!text.is_empty()).then_some(text)
}

/// A worker in JSON.
#[derive(Debug, Serialize)]
pub(super) struct WorkerJson<'a> {
    worker: String,
    host: Option<&'a str>,
    pid: Option<u32>,
    version: &'a str,
    runtime: &'a str,
    state: &'static str,
    liveness: &'static str,
    /// Seconds since its last record.
    silence: f64,
    /// How many of its records were lost, by their numbers.
    missed: u64,
    started_at: u64,
    up: f64,
    slots: u64,
    running: u64,
    held: u64,
    queues: Vec<QueueJson<'a>>,
    more_queues: u64,
    tasks: Vec<&'a str>,
    more_tasks: u64,
    longest: Vec<TaskJson<'a>>,
    degraded: Vec<DegradedJson<'a>>,
}

#[derive(Debug, Serialize)]
struct QueueJson<'a> {
    queue: &'a str,
    degraded: bool,
}

#[derive(Debug, Serialize)]
struct TaskJson<'a> {
    task_id: String,
    task: &'a str,
    queue: &'a str,
    attempt: u32,
    running: f64,
}

#[derive(Debug, Serialize)]
struct DegradedJson<'a> {
    part: String,
    why: &'a str,
}

impl<'a> WorkerJson<'a> {
    fn of(worker: &'a HeardWorker) -> Self {
        let HeardWorker { record, liveness, silence, missed, .. } = worker;
        let queue = |queue: &'a QueuePresence| QueueJson {
            queue: queue.name.as_str(),
            degraded: queue.is_degraded,
        };
        let running = |longest: &'a RunningTask| TaskJson {
            task_id: longest.task.id.to_string(),
            task: longest.task.name.as_str(),
            queue: longest.task.queue.as_str(),
            attempt: longest.attempt,
            running: seconds(longest.running),
        };
        let part = |degraded: &'a Degraded| DegradedJson {
            part: degraded.part.to_string(),
            why: degraded.why.as_str(),
        };
        WorkerJson {
            worker: record.worker.to_string(),
            host: record.identity.host.as_ref().map(|host| host.as_str()),
            pid: record.identity.pid,
            version: record.identity.version.as_str(),
            runtime: record.identity.runtime.as_str(),
            state: state(worker),
            liveness: match liveness {
                Liveness::Silent => "silent",
                Liveness::Gone => "gone",
                _ => "alive",
            },
            silence: seconds(*silence),
            missed: *missed,
            started_at: record.started,
            up: seconds(record.up),
            slots: record.slots,
            running: record.running,
            held: record.held,
            queues: record.queues.iter().map(queue).collect(),
            more_queues: record.more.queues,
            tasks: record.tasks.iter().map(TaskName::as_str).collect(),
            more_tasks: record.more.tasks,
            longest: record.longest.iter().map(running).collect(),
            degraded: record.degraded.iter().map(part).collect(),
        }
    }
}
