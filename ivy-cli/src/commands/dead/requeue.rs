//! `ivy dead requeue`: returns dead letters to their queues.

use ivy_proto::QueueName;
use ivy_proto::admin::SweepConfig;

use super::{check_exists, dead_queue};
use crate::commands::CommonOptions;
use crate::commands::sweep::{self, FilterOptions, PostingOptions};
use crate::exit::{Exit, Failure};
use crate::output::{Confirmation, Output};

/// Return dead letters to the queues that they come from
///
/// The plan is shown first, and nothing is changed before it is confirmed. Each message is posted,
/// and then its dead letters are deleted, so nothing is lost. Its task has all its retries again.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The queue, such as mail, or its dead-letter queue, mail.dead
    queue: QueueName,

    /// Post the messages to this physical queue instead of their own
    #[arg(long, value_name = "QUEUE")]
    to: Option<QueueName>,

    /// Look at so many letters at most
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    limit: usize,

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
    let Options { queue, to, limit, filter, posting, confirmation, common } = options;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let mut requeue = posting.requeue();
    if let Some(to) = to {
        requeue = requeue.to(to.clone());
    }
    let dead = dead_queue(queue)?;
    check_exists(&ivy, &dead).await?;
    let config = SweepConfig::requeue(dead, requeue);
    let config = config.with_filter(filter.filter()?).with_limit(*limit);
    sweep::change(ivy.admin().sweep(config)?, confirmation, &output).await
}
