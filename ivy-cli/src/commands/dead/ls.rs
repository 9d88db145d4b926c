//! `ivy dead ls`: which dead letters there are.

mod follow;
mod seen;
mod tables;

use ivy_proto::QueueName;
use ivy_proto::inspect::Redaction;
use ivy_tokio::{FaultKind, Ivy};

use self::seen::Seen;
use self::tables::{Groups, Letters, group};
use super::dead_queue;
use crate::commands::message::Showing;
use crate::commands::redaction::RedactionOptions;
use crate::commands::sweep::FilterOptions;
use crate::commands::watch::{self, Interval};
use crate::commands::{CommonOptions, queue_not_found};
use crate::exit::{Exit, Failure, fault_kind};
use crate::interrupt::Interrupts;
use crate::output::{Note, Output};

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

    /// Look at all letters: they are reserved meanwhile, and released at the end
    #[arg(long)]
    all: bool,

    /// Look at so many letters of each queue at most [default: 10,000 with a filter or --all, else
    /// 100]
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,

    /// Print letters that arrive from now on, until Ctrl-C. The queues are looked at at this
    /// interval, 2s by default
    #[arg(
        long,
        value_name = "INTERVAL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = watch::DEFAULT,
        conflicts_with_all = ["all", "limit", "list"],
    )]
    follow: Option<Interval>,

    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    redaction: RedactionOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, list, all, limit, follow, filter, redaction, common } = options;
    let mut interrupts = Interrupts::watch()?;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let has_filter = !filter.filter()?.is_empty();
    if let Some(interval) = follow {
        if has_filter {
            let text = "--follow prints all letters that arrive; give no filter with it";
            return Err(Failure::wrong_call(text));
        }
        let showing = redaction.showing();
        let following = follow::run(&ivy, queue.as_ref(), &showing, &output, *interval);
        return interrupts.or(following).await?;
    }
    let showing = match list {
        true => redaction.showing(),
        false => Showing { redaction: Redaction::new(), raw: false },
    };
    let queues = interrupts.or(queues(&ivy, queue.as_ref())).await??;
    let seen = if *all || has_filter {
        Seen::by_sweeps(&ivy, &queues, (filter, *limit), &showing, &mut interrupts).await?
    } else {
        interrupts.or(Seen::at_heads(&ivy, &queues, *limit, &showing)).await?
    };
    if let Some(failure) = seen.failure_of_all(&queues) {
        return Err(failure);
    }
    if *list {
        output.show(&Letters(&seen.letters))?;
    } else {
        output.show(&Groups(group(&seen.letters)))?;
    }
    for note in &seen.notes {
        output.note(&Note::truncated(note))?;
    }
    seen.exit()
}

/// The dead-letter queues to look at.
async fn queues(ivy: &Ivy, queue: Option<&QueueName>) -> Result<Vec<QueueName>, Failure> {
    if let Some(queue) = queue {
        return one_queue(ivy, queue).await;
    }
    let mut queues = ivy.admin().list("").await?;
    queues.retain(|queue| queue.of_dead_letters().is_some());
    Ok(queues)
}

/// The dead-letter queue that a user names, if it exists. A queue without dead letters has none.
async fn one_queue(ivy: &Ivy, queue: &QueueName) -> Result<Vec<QueueName>, Failure> {
    let dead = dead_queue(queue)?;
    let Err(error) = ivy.admin().info(dead.as_str()).await else { return Ok(vec![dead]) };
    if fault_kind(&error) != Some(FaultKind::NoQueue) {
        return Err(error.into());
    }
    let live = dead.of_dead_letters().unwrap_or_else(|| dead.clone());
    match ivy.admin().info(live.as_str()).await {
        Ok(_) => Ok(Vec::new()),
        Err(error) => Err(queue_not_found::explain(ivy, live.as_str(), error).await),
    }
}
