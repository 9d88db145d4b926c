//! `ivy dead ls`: which dead letters there are.

mod follow;
mod queues;
mod seen;
mod tables;

use ivy_proto::inspect::Redaction;

use self::queues::Queues;
use self::seen::Seen;
use self::tables::{Groups, Letters, group};
use crate::commands::CommonOptions;
use crate::commands::message::Showing;
use crate::commands::redaction::RedactionOptions;
use crate::commands::sweep::FilterOptions;
use crate::commands::watch::{self, Interval};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::{Note, Output};

/// Count dead letters by queue, task and reason
///
/// The first 100 letters of each queue are looked at, unless there is a filter or --all is given. The
/// output says if there are more.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only this queue, such as mail, or its dead-letter queue, mail.dead; or those whose names match
    /// a pattern: `*` matches any characters, and `?` one character
    #[arg(value_name = "QUEUE", value_parser = Queues::parse)]
    queue: Option<Queues>,

    /// List the letters one by one, with the time at which they were dead-lettered and their errors
    #[arg(long)]
    list: bool,

    /// Look at all letters: they are reserved meanwhile, and released at the end
    #[arg(long)]
    all: bool,

    /// Look at so many letters of each queue at most [default: 10,000 with a filter or --all, else
    /// 100]
    #[arg(long, value_name = "COUNT", value_parser = crate::commands::limit)]
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
    let queues = queue.clone().unwrap_or(Queues::All);
    if let Some(interval) = follow {
        if has_filter {
            let text = "--follow prints all letters that arrive; give no filter with it";
            return Err(Failure::usage(text));
        }
        let showing = redaction.showing();
        let following = follow::run(&ivy, &queues, &showing, &output, *interval);
        return interrupts.run_until_interrupted(following).await?;
    }
    let showing = match list {
        true => redaction.showing(),
        false => Showing { redaction: Redaction::new(), raw: false },
    };
    let queues = interrupts.run_until_interrupted(queues.names(&ivy)).await??;
    let seen = if *all || has_filter {
        Seen::by_sweeps(&ivy, &queues, (filter, *limit), &showing, &mut interrupts).await?
    } else {
        interrupts.run_until_interrupted(Seen::at_heads(&ivy, &queues, *limit, &showing)).await?
    };
    if let Some(failure) = seen.failure_of_all(&queues) {
        return Err(failure);
    }
    let nothing = seen.nothing(has_filter);
    if *list {
        output.show(&Letters { letters: &seen.letters, nothing: &nothing })?;
    } else {
        output.show(&Groups { groups: group(&seen.letters), nothing: &nothing })?;
    }
    for note in &seen.notes {
        output.note(&Note::truncated(note))?;
    }
    seen.exit()
}
