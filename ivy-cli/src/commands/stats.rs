//! `ivy stats`: totals.

use std::iter;
use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::inspect::Span;
use ivy_tokio::Ivy;
use serde::Serialize;

use super::heard::{ListenOptions, Listening, heard};
use super::queues::{Queue, ask_ages, ask_sizes, fold};
use super::task_counts::CountsByTask;
use super::time::seconds;
use super::watch::WatchOptions;
use super::{CommonOptions, queue_not_found};
use crate::exit::{Exit, Failure};
use crate::output::{Note, Output, Page, Report};

/// Show totals of all queues, or of one queue including its priorities
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this queue, with its priorities and its dead letters
    queue: Option<QueueName>,

    #[command(flatten)]
    listen: ListenOptions,
    #[command(flatten)]
    watch: WatchOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let common = &options.common;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let listening = options.listen.start(&ivy)?;
    let totals = async || total(options, &ivy, listening.as_ref(), &output).await;
    options.watch.repeat(&output, totals).await
}

async fn total(
    options: &Options,
    ivy: &Ivy,
    listening: Option<&Listening>,
    output: &Output,
) -> Result<Exit, Failure> {
    let heard = heard(listening).await?;
    let prefix = options.queue.as_ref().map_or("", QueueName::as_str);
    let mut queues = fold(ivy.admin().list(prefix).await?, false);
    if let Some(queue) = &options.queue {
        queues.retain(|other| is_priority_of(&other.name, queue));
        if queues.is_empty() {
            return Err(queue_not_found::no_queue(ivy, queue.as_str()).await);
        }
    }
    let failure = ask_sizes(ivy, &mut queues).await;
    let failure = failure.or(ask_ages(ivy, &mut queues).await);
    output.show(&Totals::of(options.queue.clone(), &queues))?;
    if let Some(heard) = &heard {
        let wanted = options.queue.as_ref();
        let is_wanted = |name: &_| wanted.is_none_or(|queue| is_priority_of(name, queue));
        output.show(&CountsByTask::of(heard, is_wanted))?;
    }
    let Some(error) = failure else { return Ok(Exit::Done) };
    let text = format!("some queues could not be asked; the first failure: {error}");
    output.note(&Note::new(text))?;
    Ok(Exit::DoneInPart)
}

/// Whether a physical queue is this one, or one of its priorities.
fn is_priority_of(physical: &QueueName, queue: &QueueName) -> bool {
    let priority = physical.as_str().strip_prefix(queue.as_str());
    matches!(priority.map(str::as_bytes), Some([] | [b'.', b'p', b'1'..=b'9']))
}

/// The totals of some queues. What no queue reports is unknown.
#[derive(Debug)]
struct Totals {
    queue: Option<QueueName>,
    queues: usize,
    messages: Option<u64>,
    posted: Option<u64>,
    dead: u64,
    oldest: Option<Duration>,
}

impl Totals {
    fn of(queue: Option<QueueName>, queues: &[Queue]) -> Self {
        let sum = |of: fn(&Queue) -> Option<u64>| {
            queues.iter().filter_map(of).reduce(u64::saturating_add)
        };
        Totals {
            queue,
            queues: queues.len(),
            messages: sum(|queue| queue.size),
            posted: sum(|queue| queue.posted),
            dead: sum(|queue| queue.dead).unwrap_or(0),
            oldest: queues.iter().filter_map(|queue| queue.head_age).max(),
        }
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
}

impl Report for Totals {
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        let count = |count: Option<u64>| {
            count.map_or_else(|| "not reported".to_owned(), |count| count.to_string())
        };
        let oldest = self.oldest.map_or_else(|| "-".to_owned(), |age| Span(age).to_string());
        page.fields(&[
            ("queues", self.queues.to_string()),
            ("messages", count(self.messages)),
            ("ever posted", count(self.posted)),
            ("dead letters", self.dead.to_string()),
            ("longest wait at a head", oldest),
        ]);
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let Totals { queue, queues, messages, posted, dead, oldest } = self;
        iter::once(Record {
            queue: queue.as_ref().map(QueueName::as_str),
            queues: *queues,
            messages: *messages,
            posted: *posted,
            dead: *dead,
            oldest: oldest.map(seconds),
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
