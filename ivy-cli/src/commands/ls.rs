//! `ivy ls`: the queues.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::str::FromStr;

use ivy_proto::QueueName;
use ivy_proto::admin::{Glob, InvalidFilter};
use ivy_proto::presence::{Heard, QueueActivity};
use ivy_tokio::{Error, Ivy};
use serde::Serialize;

use super::overview::OverviewOptions;
use super::queue_row::{self, QueueRecord};
use super::queues::{Queue, ask_ages, ask_sizes, fold};
use crate::exit::{Exit, Failure};
use crate::output::{Column, Note, Output, Page, Report};

/// List queues with their sizes
///
/// Dead letters are shown beside the queue that they come from.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only queues whose names match: `*` matches any characters, and `?` one character. A
    /// dead-letter queue that matches alone has a line of its own
    #[arg(value_name = "GLOB")]
    names: Option<NamePattern>,

    /// Show dead-letter queues in lines of their own
    #[arg(long)]
    all: bool,

    /// Show how long the first ready message of each queue has been due: one more request for each
    /// queue
    ///
    /// It is `none ready` if all messages are delayed or reserved, and `unknown` if the message does
    /// not say when it was due or cannot be read here.
    #[arg(long)]
    age: bool,

    /// Sort by this column, the largest first
    #[arg(long, value_enum, default_value_t = Sort::Name, value_name = "COLUMN")]
    sort: Sort,

    /// Show at most this many queues
    #[arg(long, default_value_t = 10_000, value_name = "COUNT", value_parser = super::limit)]
    limit: usize,

    #[command(flatten)]
    pub(crate) overview: OverviewOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    Name,
    Size,
    /// Only with --age.
    Age,
    Dead,
}

/// A pattern of queue names.
#[derive(Clone, Debug)]
struct NamePattern {
    text: String,
    glob: Glob,
}

impl NamePattern {
    /// What all matching names begin with.
    fn prefix(&self) -> &str {
        let end = self.text.find(['*', '?']).unwrap_or(self.text.len());
        &self.text[..end]
    }
}

impl FromStr for NamePattern {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        Ok(NamePattern { text: text.to_owned(), glob: text.parse()? })
    }
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    if options.sort == Sort::Age && !options.age {
        return Err(Failure::usage("the ages are not known; give --age to sort by them"));
    }
    options.overview.run(async |ivy, heard, output| list(options, ivy, heard, output).await).await
}

/// Returns why some queues could not be asked.
async fn list(
    options: &Options,
    ivy: &Ivy,
    heard: Option<&Heard>,
    output: &Output,
) -> Result<Option<Error>, Failure> {
    let mut queues = matching(options, ivy).await?;
    let more = queues.len().saturating_sub(options.limit);
    queues.truncate(options.limit);
    let mut failure = ask_sizes(ivy, &mut queues).await;
    if options.age {
        failure = failure.or(ask_ages(ivy, &mut queues).await);
    }
    sort(&mut queues, options.sort);
    let activity = heard.map(Heard::by_queue);
    let server = ivy.queue_address().map(str::to_owned);
    output.show(&Listing { queues, server, has_ages: options.age, activity })?;
    if more > 0 {
        let text = format!("{more} more queues; give a pattern of names, or --limit");
        output.note(&Note::truncated(text))?;
    }
    Ok(failure)
}

async fn matching(options: &Options, ivy: &Ivy) -> Result<Vec<Queue>, Failure> {
    let Some(names) = &options.names else {
        return Ok(fold(ivy.admin().list("").await?, |_| !options.all));
    };
    let matches = |name: &QueueName| names.glob.matches(name.as_str());
    let is_folded = |origin: &QueueName| !options.all && matches(origin);
    let mut found = ivy.admin().list(names.prefix()).await?;
    found.retain(|name| matches(name) || name.of_dead_letters().as_ref().is_some_and(is_folded));
    if found.is_empty() {
        let text = format!("no queue matches {}; `ivy ls` lists all queues", names.glob);
        return Err(Failure::new(Exit::NothingFound, text));
    }
    Ok(fold(found, is_folded))
}

fn sort(queues: &mut [Queue], sort: Sort) {
    match sort {
        Sort::Name => {}
        Sort::Size => queues.sort_by_key(|queue| Reverse(queue.size)),
        Sort::Age => queues.sort_by_key(|queue| Reverse(queue.head_age())),
        Sort::Dead => queues.sort_by_key(|queue| Reverse(queue.dead)),
    }
}

/// The queues that were found.
struct Listing {
    queues: Vec<Queue>,
    /// Where they are, if the backend says so.
    server: Option<String>,
    has_ages: bool,
    /// What workers do, if somebody listened for them.
    activity: Option<BTreeMap<QueueName, QueueActivity>>,
}

impl Listing {
    /// What the workers of a queue do, if somebody listened for them.
    fn activity(&self, queue: &Queue) -> Option<QueueActivity> {
        let activity = self.activity.as_ref()?;
        Some(activity.get(&queue.name).copied().unwrap_or_default())
    }
}

/// A queue in JSON.
#[derive(Debug, Serialize)]
struct Record<'a> {
    #[serde(flatten)]
    queue: QueueRecord<'a>,
    #[serde(flatten)]
    workers: Option<Workers>,
}

/// What the workers of a queue do, in JSON.
#[derive(Debug, Serialize)]
struct Workers {
    workers: u64,
    executed_per_second: Option<f64>,
    /// The share that failed, from 0 to 1.
    failed: Option<f64>,
}

impl From<QueueActivity> for Workers {
    fn from(activity: QueueActivity) -> Self {
        let QueueActivity { workers, executed_per_second, failed, .. } = activity;
        Workers { workers, executed_per_second, failed }
    }
}

impl Report for Listing {
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        if self.queues.is_empty() {
            return page.line(&match &self.server {
                Some(server) => format!("no queues on {server}"),
                None => "no queues".to_owned(),
            });
        }
        let mut columns = queue_row::columns(self.has_ages);
        if self.activity.is_some() {
            columns.extend(["WORKERS", "RUN/S", "FAIL %"].map(Column::right));
        }
        let cells = |queue: &Queue| {
            let mut cells = queue_row::cells(queue, self.has_ages);
            if let Some(activity) = self.activity(queue) {
                cells.extend([
                    Some(activity.workers.to_string()),
                    activity.executed_per_second.map(|rate| format!("{rate:.1}")),
                    activity.failed.map(|share| format!("{:.1}", share * 100.0)),
                ]);
            }
            cells
        };
        page.table(&columns, self.queues.iter().map(cells));
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.queues.iter().map(|queue| Record {
            queue: QueueRecord::of(queue, self.has_ages),
            workers: self.activity(queue).map(Workers::from),
        })
    }
}
