//! `ivy dead ls`: which dead letters there are.

use std::collections::BTreeMap;

use ivy_proto::QueueName;
use ivy_proto::admin::{Filter, SweepConfig};
use ivy_proto::inspect::{Redaction, Timestamp};
use ivy_tokio::Ivy;
use serde::Serialize;

use super::dead_queue;
use crate::commands::message::{COLUMNS, Message, MessageRecord, Showing};
use crate::commands::redaction::RedactionOptions;
use crate::commands::sweep::{self, FilterOptions};
use crate::commands::time::now;
use crate::commands::{CommonOptions, queue_not_found};
use crate::exit::{Exit, Failure, fault_kind};
use crate::output::{Column, Note, Output, Page, Report};

/// How many letters of a queue are looked at.
const SEEN: usize = 100;

/// Count dead letters by queue, task and reason
///
/// The first 100 letters of each queue are looked at, unless there is a filter or --all is given. The
/// output says if there are more.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this queue, such as mail, or its dead-letter queue, mail.dead
    queue: Option<QueueName>,

    /// List the letters one by one, with their errors
    #[arg(long)]
    list: bool,

    /// Look at all letters: they are reserved for some minutes
    #[arg(long)]
    all: bool,

    /// Look at so many letters of each queue at most, with a filter or --all
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    limit: usize,

    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    redaction: RedactionOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let common = &options.common;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let queues = match &options.queue {
        Some(queue) => one_queue(&ivy, queue).await?,
        None => all_queues(&ivy).await?,
    };
    let redaction = if options.list { options.redaction.redaction() } else { Redaction::new() };
    let (showing, filter) = (Showing { redaction, raw: false }, options.filter.filter()?);
    let seen = if options.all || !filter.is_empty() {
        Seen::by_sweeps(&ivy, &queues, &filter, options.limit, &showing).await?
    } else {
        Seen::at_heads(&ivy, &queues, &showing).await?
    };
    if options.list {
        output.show(&Letters(&seen.letters))?;
    } else {
        output.show(&Groups(group(&seen.letters)))?;
    }
    if let Some(why) = &seen.truncated {
        output.note(&Note::truncated(why))?;
    }
    Ok(Exit::Done)
}

async fn all_queues(ivy: &Ivy) -> Result<Vec<QueueName>, Failure> {
    let mut queues = ivy.admin().list("").await?;
    queues.retain(|queue| queue.of_dead_letters().is_some());
    Ok(queues)
}

/// The dead-letter queue that a user names, if it exists. A queue without dead letters has none.
async fn one_queue(ivy: &Ivy, queue: &QueueName) -> Result<Vec<QueueName>, Failure> {
    let dead = dead_queue(queue)?;
    let Err(error) = ivy.admin().info(dead.as_str()).await else { return Ok(vec![dead]) };
    if fault_kind(&error) != Some(ivy_tokio::FaultKind::NoQueue) {
        return Err(error.into());
    }
    let live = dead.of_dead_letters().unwrap_or_else(|| dead.clone());
    match ivy.admin().info(live.as_str()).await {
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(queue_not_found::explain(ivy, queue.as_str(), error).await),
    }
}

/// The letters that were looked at.
struct Seen {
    letters: Vec<Message>,
    /// Why not all were looked at.
    truncated: Option<String>,
}

impl Seen {
    /// Looks at the first letters of each queue.
    async fn at_heads(ivy: &Ivy, queues: &[QueueName], showing: &Showing) -> Result<Self, Failure> {
        let sizes = ivy.admin().info_each(queues).await;
        let peeked = ivy.admin().peek_each(queues, SEEN).await;
        let (mut letters, mut more, now) = (Vec::new(), 0, now());
        for ((queue, size), peeked) in queues.iter().zip(sizes).zip(peeked) {
            let peeked = peeked?;
            let size = size?.size.unwrap_or(0);
            more += size.saturating_sub(peeked.len() as u64);
            let messages = peeked.into_iter();
            letters.extend(messages.map(|peeked| Message::of(queue, peeked, showing, now)));
        }
        let truncated = (more > 0).then(|| format!("{more} more letters were not looked at"));
        Ok(Seen { letters, truncated })
    }

    /// Looks at all letters of each queue that a filter selects.
    async fn by_sweeps(
        ivy: &Ivy,
        queues: &[QueueName],
        filter: &Filter,
        limit: usize,
        showing: &Showing,
    ) -> Result<Self, Failure> {
        let (mut letters, mut truncated, now) = (Vec::new(), None, now());
        for queue in queues {
            let config = SweepConfig::look(queue.clone());
            let config = config.with_filter(filter.clone()).with_limit(limit);
            let report = sweep::look(ivy.admin().sweep(config)?, |row| {
                letters.push(Message::found(queue, row, showing, now));
                Ok(())
            })
            .await?;
            sweep::exit_of_look(&report)?;
            if let Some(why) = &report.truncated {
                truncated = Some(format!("not all letters of {queue} were looked at: {why}"));
            }
        }
        Ok(Seen { letters, truncated })
    }
}

/// Letters of one task that have the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Group<'a> {
    queue: &'a str,
    task: Option<&'a str>,
    reason: Option<&'static str>,
    count: u64,
    oldest: Option<u64>,
    newest: Option<u64>,
}

fn group(letters: &[Message]) -> Vec<Group<'_>> {
    let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
    for letter in letters {
        let queue = letter.queue.as_str();
        let task = letter.description.task.as_ref().map(|task| task.name.as_str());
        let envelope = letter.description.letter.as_ref();
        let reason = envelope.map(|letter| letter.reason.as_str());
        let at = envelope.map(|letter| letter.at);
        let empty = Group { queue, task, reason, count: 0, oldest: None, newest: None };
        let group = groups.entry((queue, task, reason)).or_insert(empty);
        group.count += 1;
        group.oldest = group.oldest.into_iter().chain(at).min();
        group.newest = group.newest.into_iter().chain(at).max();
    }
    groups.into_values().collect()
}

struct Groups<'a>(Vec<Group<'a>>);

impl Report for Groups<'_> {
    type Record<'a>
        = &'a Group<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        let columns = [
            Column::left("QUEUE"),
            Column::left("TASK"),
            Column::left("REASON"),
            Column::right("COUNT"),
            Column::left("OLDEST"),
            Column::left("NEWEST"),
        ];
        let time = |at: Option<u64>| at.map(|at| Timestamp(at).to_string());
        let cells = |group: &Group<'_>| {
            vec![
                Some(group.queue.to_owned()),
                group.task.map(str::to_owned),
                group.reason.map(str::to_owned),
                Some(group.count.to_string()),
                time(group.oldest),
                time(group.newest),
            ]
        };
        page.table(&columns, self.0.iter().map(cells));
    }

    fn records(&self) -> impl Iterator<Item = &Group<'_>> {
        self.0.iter()
    }
}

struct Letters<'a>(&'a [Message]);

impl Report for Letters<'_> {
    type Record<'a>
        = MessageRecord<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        page.table(&COLUMNS, self.0.iter().map(Message::cells));
    }

    fn records(&self) -> impl Iterator<Item = MessageRecord<'_>> {
        self.0.iter().map(Message::record)
    }
}
