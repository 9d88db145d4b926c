//! The workers that were heard, as a table and as JSON.

use ivy_proto::TaskName;
use ivy_proto::inspect::Span;
use ivy_proto::presence::{Degraded, HeardWorker, Liveness, QueuePresence, RunningTask};
use serde::Serialize;

use crate::commands::heard::SILENCE;
use crate::commands::time::seconds;
use crate::output::{Column, Page, Report};

/// How many names a cell contains.
const NAMES: usize = 3;

/// The workers that were heard.
pub(super) struct Workers {
    pub(super) workers: Vec<HeardWorker>,
    /// How many they are, and for how long somebody listened.
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
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        page.table(&COLUMNS, self.workers.iter().map(cells));
        for worker in &self.workers {
            for Degraded { part, why, .. } in &worker.record.degraded {
                page.line(&format!("{} is degraded: {part}: {why}", worker.record.name()));
            }
        }
        page.line(&format!("{}; {SILENCE}", self.summary));
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.workers.iter().map(Record::of)
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
        some(queues, record.more.queues),
        some(tasks, record.more.tasks),
        longest,
        Some(format!("{} {}", record.identity.version, record.identity.runtime)),
    ]
}

/// What it does, as far as is known.
fn state(worker: &HeardWorker) -> &'static str {
    match worker.liveness {
        Liveness::Silent => "silent",
        _ if !worker.record.degraded.is_empty() => "degraded",
        _ => worker.record.state.as_str(),
    }
}

/// The first names, and how many more there are.
fn some<'a>(names: impl ExactSizeIterator<Item = &'a str>, more: u64) -> Option<String> {
    let more = more + names.len().saturating_sub(NAMES) as u64;
    let mut text = names.take(NAMES).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text += &format!(" +{more}");
    }
    (!text.is_empty()).then_some(text)
}

/// A worker in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    worker: String,
    host: Option<&'a str>,
    pid: Option<u32>,
    version: &'a str,
    runtime: &'a str,
    state: &'static str,
    liveness: &'static str,
    /// Since its last record.
    silence: f64,
    missed: u64,
    started_at: u64,
    up: f64,
    slots: u64,
    running: u64,
    held: u64,
    queues: Vec<Queue<'a>>,
    more_queues: u64,
    tasks: Vec<&'a str>,
    more_tasks: u64,
    longest: Vec<Running<'a>>,
    degraded: Vec<Part<'a>>,
}

#[derive(Debug, Serialize)]
struct Queue<'a> {
    queue: &'a str,
    degraded: bool,
}

#[derive(Debug, Serialize)]
struct Running<'a> {
    task_id: String,
    task: &'a str,
    queue: &'a str,
    attempt: u32,
    running: f64,
}

#[derive(Debug, Serialize)]
struct Part<'a> {
    part: String,
    why: &'a str,
}

impl<'a> Record<'a> {
    fn of(worker: &'a HeardWorker) -> Self {
        let HeardWorker { record, liveness, silence, missed, .. } = worker;
        let queue = |queue: &'a QueuePresence| Queue {
            queue: queue.name.as_str(),
            degraded: queue.is_degraded,
        };
        let running = |longest: &'a RunningTask| Running {
            task_id: longest.task.id.to_string(),
            task: longest.task.name.as_str(),
            queue: longest.task.queue.as_str(),
            attempt: longest.attempt,
            running: seconds(longest.running),
        };
        let part = |degraded: &'a Degraded| Part {
            part: degraded.part.to_string(),
            why: degraded.why.as_str(),
        };
        Record {
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
