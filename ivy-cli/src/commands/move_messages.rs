//! `ivy move`: moves messages from one queue to another.

use ivy_proto::QueueName;
use ivy_proto::admin::SweepConfig;

use super::sweep::{self, FilterOptions, PostingOptions};
use super::{CommonOptions, queue_not_found};
use crate::exit::{Exit, Failure};
use crate::output::{Confirmation, Output};

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

    /// Look at so many messages at most
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,

    /// Look through a live queue although its server counts that as a delivery of each message
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    posting: PostingOptions,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { from, to, limit, force, filter, posting, confirmation, common } = options;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    if let Err(error) = ivy.admin().info(from.as_str()).await {
        return Err(queue_not_found::explain(&ivy, from.as_str(), error).await);
    }
    let config = SweepConfig::transfer(from.clone(), to.clone(), posting.requeue());
    let mut config = config.with_filter(filter.filter()?);
    if let Some(limit) = limit {
        config = config.with_limit(*limit);
    }
    if *force {
        config = config.with_force();
    }
    sweep::change(ivy.admin().sweep(config)?, confirmation, &output).await
}
