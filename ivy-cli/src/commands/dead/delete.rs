//! `ivy dead delete`: deletes dead letters.

use ivy_proto::QueueName;
use ivy_proto::admin::SweepConfig;

use super::dead_queue;
use crate::commands::clear;
use crate::commands::sweep::{self, ChangeOptions};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::Output;

/// Delete dead letters
///
/// The plan is shown first, and nothing is changed before it is confirmed. Without a filter, all
/// letters are deleted at once, as by `ivy clear`: also those that were not looked at.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The queue, such as mail, or its dead-letter queue, mail.dead
    queue: QueueName,

    /// Only letters of more than 1 MiB. Another program has written them; no other command reads or
    /// deletes them
    #[arg(long)]
    too_large: bool,

    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, too_large, change } = options;
    let mut interrupts = Interrupts::watch()?;
    let common = &change.common;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let (dead, confirmation) = (dead_queue(queue)?, &change.confirmation);
    if !too_large && change.mean_all()? {
        return interrupts
            .run_until_interrupted(clear::queue(&ivy, &dead, confirmation, &output))
            .await?;
    }
    let mut config = change.apply(SweepConfig::delete(dead))?;
    if *too_large {
        config = config.with_filter(change.filter()?.too_large());
    }
    sweep::change(&ivy, config, confirmation, &output, &mut interrupts).await
}
