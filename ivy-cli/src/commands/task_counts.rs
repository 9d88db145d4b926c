//! What the workers that were heard have counted, by queue and task.

use std::collections::BTreeMap;

use ivy_proto::QueueName;
use ivy_proto::inspect::Span;
use ivy_proto::metrics::{Execution, Histogram, TaskCounts, TaskKey};
use ivy_proto::presence::Heard;
use serde::Serialize;

use super::time::seconds;
use crate::output::{Column, Page, Report};

/// Counts of several workers, since the start of each.
pub(super) struct CountsByTask {
    /// How many workers were heard.
    pub(super) workers: usize,
    counts: BTreeMap<TaskKey, TaskCounts>,
}

impl CountsByTask {
    /// The counts of the queues that are wanted.
    pub(super) fn of(heard: &Heard, is_wanted: impl Fn(&QueueName) -> bool) -> Self {
        let mut counts = heard.counts();
        counts.retain(|key, _| is_wanted(&key.queue));
        CountsByTask { workers: heard.workers.len(), counts }
    }
}

const COLUMNS: [Column; 12] = [
    Column::left("QUEUE"),
    Column::left("TASK"),
    Column::right("STARTED"),
    Column::right("OK"),
    Column::right("FAILED"),
    Column::right("RETRIED"),
    Column::right("RELEASED"),
    Column::right("DEAD"),
    Column::left("WAIT p50/p95/p99"),
    Column::left("RUN p50/p95/p99"),
    Column::left("RELEASED BY REASON"),
    Column::left("DEAD BY REASON"),
];

impl Report for CountsByTask {
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        page.line("");
        let workers = match self.workers {
            0 => "no worker was heard: `ivy workers --help` says what that can mean".to_owned(),
            1 => "since the start of the worker that was heard:".to_owned(),
            workers => format!("since the starts of the {workers} workers that were heard:"),
        };
        page.line(&workers);
        if self.workers > 0 {
            page.table(&COLUMNS, self.counts.iter().map(cells));
        }
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.counts.iter().map(Record::of)
    }
}

fn cells((key, counts): (&TaskKey, &TaskCounts)) -> Vec<Option<String>> {
    let released = counts.released.iter().map(|(reason, count)| (reason.as_str(), *count));
    let dead = counts.dead.iter().map(|(reason, count)| (reason.as_str(), *count));
    vec![
        Some(key.queue.as_str().to_owned()),
        Some(key.task.as_str().to_owned()),
        Some(counts.started.to_string()),
        Some(counts.executed.of(Execution::Ok).to_string()),
        Some(counts.executed.failed().to_string()),
        Some(counts.retried.to_string()),
        Some(counts.all_released().to_string()),
        Some(counts.all_dead().to_string()),
        quantiles(&counts.wait),
        quantiles(&counts.run),
        by_reason(released),
        by_reason(dead),
    ]
}

fn by_reason(counts: impl Iterator<Item = (&'static str, u64)>) -> Option<String> {
    let counts = counts.filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(reason, count)| format!("{reason} {count}")).collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

const QUANTILES: [f64; 3] = [0.5, 0.95, 0.99];

/// Upper bounds of the quantiles.
fn quantiles(histogram: &Histogram) -> Option<String> {
    if histogram.count() == 0 {
        return None;
    }
    let bound = |quantile| match histogram.quantile(quantile) {
        Some(bound) => Span(bound).to_string(),
        None => "> 1h".to_owned(),
    };
    Some(QUANTILES.map(bound).join("/"))
}

/// The counts of a task in JSON.
#[derive(Debug, Serialize)]
pub(super) struct Record<'a> {
    queue: &'a str,
    task: &'a str,
    started: u64,
    ok: u64,
    failed: u64,
    postponed: u64,
    retried: u64,
    released: BTreeMap<&'static str, u64>,
    dead: BTreeMap<&'static str, u64>,
    leases_lost: u64,
    wait: Quantiles,
    run: Quantiles,
}

/// Upper bounds of the quantiles, in seconds.
#[derive(Debug, Serialize)]
struct Quantiles {
    count: u64,
    p50: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
}

impl<'a> Record<'a> {
    fn of((key, counts): (&'a TaskKey, &'a TaskCounts)) -> Self {
        Record {
            queue: key.queue.as_str(),
            task: key.task.as_str(),
            started: counts.started,
            ok: counts.executed.of(Execution::Ok),
            failed: counts.executed.failed(),
            postponed: counts.executed.of(Execution::Later),
            retried: counts.retried,
            released: counts
                .released
                .iter()
                .map(|(reason, count)| (reason.as_str(), *count))
                .collect(),
            dead: counts.dead.iter().map(|(reason, count)| (reason.as_str(), *count)).collect(),
            leases_lost: counts.leases_lost,
            wait: Quantiles::of(&counts.wait),
            run: Quantiles::of(&counts.run),
        }
    }
}

impl Quantiles {
    fn of(histogram: &Histogram) -> Self {
        let [p50, p95, p99] = QUANTILES.map(|quantile| histogram.quantile(quantile).map(seconds));
        Quantiles { count: histogram.count(), p50, p95, p99 }
    }
}
