//! `ivy move`: moves messages from one queue to another.

use ivy_proto::QueueName;
use ivy_proto::admin::SweepConfig;

use super::sweep::{self, ChangeOptions, PostingOptions};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::Output;

/// Move messages from one queue to another
///
/// Workers wait for the messages of a live queue, so the question comes before they are looked at,
/// at most 1,000 of them are, and those that do not match are released at once. Only messages that
/// are ready are moved.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The physical queue that they are in
    from: QueueName,

    /// The physical queue to post them to
    to: QueueName,

    /// Look through a live queue although its server counts that as a delivery of each message
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    posting: PostingOptions,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { from, to, force, posting, change } = options;
    let mut interrupts = Interrupts::watch()?;
    let common = &change.common;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let config = SweepConfig::transfer(from.clone(), to.clone(), posting.requeue());
    let mut config = change.apply(config)?;
    if *force {
        config = config.with_force();
    }
    sweep::change(&ivy, config, &change.confirmation, &output, &mut interrupts).await
}
