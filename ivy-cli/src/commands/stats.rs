//! `ivy stats`: totals.

use std::iter;
use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::inspect::Span;
use ivy_proto::presence::Heard;
use ivy_tokio::{Error, Ivy};
use serde::Serialize;

use super::overview::OverviewOptions;
use super::queue_not_found;
use super::queue_row::{self, QueueRecord};
use super::queues::{Queue, ask_ages, ask_sizes, fold};
use super::task_counts::CountsByTask;
use super::time::seconds;
use crate::exit::{Exit, Failure};
use crate::output::{Output, Page, Report};

/// Show totals of all queues, or of one queue including its priorities
///
/// With a queue, its physical queues follow: its own and those of its priorities. The longest wait at
/// a head is that of the first ready message; queues whose messages are all delayed or reserved are
/// counted instead.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this queue, with its priorities and its dead letters
    queue: Option<QueueName>,

    #[command(flatten)]
    pub(crate) overview: OverviewOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let queue = options.queue.as_ref();
    options.overview.run(async |ivy, heard, output| total(queue, ivy, heard, output).await).await
}

/// Returns why some queues could not be asked.
async fn total(
    queue: Option<&QueueName>,
    ivy: &Ivy,
    heard: Option<&Heard>,
    output: &Output,
) -> Result<Option<Error>, Failure> {
    let prefix = queue.map_or("", QueueName::as_str);
    let is_wanted = |name: &QueueName| queue.is_none_or(|queue| is_priority_of(name, queue));
    let mut queues = fold(ivy.admin().list(prefix).await?, is_wanted);
    queues.retain(|queue| is_wanted(&queue.name));
    if let Some(queue) = queue
        && queues.is_empty()
    {
        return Err(queue_not_found::no_queue(ivy, queue.as_str()).await);
    }
    let failure = ask_sizes(ivy, &mut queues).await;
    let failure = failure.or(ask_ages(ivy, &mut queues).await);
    output.show(&Totals { queue: queue.cloned(), queues })?;
    if let Some(heard) = heard {
        output.show(&CountsByTask::of(heard, is_wanted))?;
    }
    Ok(failure)
}

/// Whether a physical queue is this one, or one of its priorities.
pub(super) fn is_priority_of(physical: &QueueName, queue: &QueueName) -> bool {
    let priority = physical.as_str().strip_prefix(queue.as_str());
    matches!(priority.map(str::as_bytes), Some([] | [b'.', b'p', b'1'..=b'9']))
}

/// The totals of some queues. What no queue reports is unknown.
#[derive(Debug)]
struct Totals {
    /// The queue to which all belong, if only one was asked for.
    queue: Option<QueueName>,
    queues: Vec<Queue>,
}

impl Totals {
    fn sum(&self, of: fn(&Queue) -> Option<u64>) -> Option<u64> {
        self.queues.iter().filter_map(of).reduce(u64::saturating_add)
    }

    fn messages(&self) -> Option<u64> {
        self.sum(|queue| queue.size)
    }

    fn posted(&self) -> Option<u64> {
        self.sum(|queue| queue.posted)
    }

    fn dead(&self) -> u64 {
        self.sum(|queue| queue.dead).unwrap_or(0)
    }

    fn oldest(&self) -> Option<Duration> {
        self.queues.iter().filter_map(Queue::head_age).max()
    }

    fn unready(&self) -> usize {
        self.queues.iter().filter(|queue| queue.waits_unready()).count()
    }
}

/// The totals in JSON.
#[derive(Debug, Serialize)]
struct Record<'a> {
    queue: Option<&'a str>,
    queues: usize,
    messages: Option<u64>,
    posted: Option<u64>,
    dead: u64,
    oldest: Option<f64>,
    /// How many queues have messages of which none is ready.
    none_ready: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_queues: Option<Vec<QueueRecord<'a>>>,
}

impl Report for Totals {
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        let count = |count: Option<u64>| {
            count.map_or_else(|| "not reported".to_owned(), |count| count.to_string())
        };
        let oldest = self.oldest().map_or_else(|| "-".to_owned(), |age| Span(age).to_string());
        page.fields(&[
            ("queues", self.queues.len().to_string()),
            ("messages", count(self.messages())),
            ("ever posted", count(self.posted())),
            ("dead letters", self.dead().to_string()),
            ("longest wait at a head", oldest),
            ("queues with none ready", self.unready().to_string()),
        ]);
        if self.queue.is_some() {
            page.line("");
            page.table(
                &queue_row::columns(true),
                self.queues.iter().map(|queue| queue_row::cells(queue, true)),
            );
        }
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let rows = || self.queues.iter().map(|queue| QueueRecord::of(queue, true)).collect();
        iter::once(Record {
            queue: self.queue.as_ref().map(QueueName::as_str),
            queues: self.queues.len(),
            messages: self.messages(),
            posted: self.posted(),
            dead: self.dead(),
            oldest: self.oldest().map(seconds),
            none_ready: self.unready(),
            physical_queues: self.queue.as_ref().map(|_| rows()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_includes_its_priorities() {
        let name = |name: &str| QueueName::new(name).unwrap();
        for physical in ["mail", "mail.p1", "mail.p9"] {
            assert!(is_priority_of(&name(physical), &name("mail")), "{physical}");
        }
        for other in ["mails", "mail.p0", "mail.p10", "mail.px", "mail.dead", "ma"] {
            assert!(!is_priority_of(&name(other), &name("mail")), "{other}");
        }
    }
}
