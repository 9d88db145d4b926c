//! `ivy dead delete`: deletes dead letters.

use ivy_proto::QueueName;
use ivy_proto::admin::SweepConfig;

use super::{check_exists, dead_queue};
use crate::commands::sweep::{self, FilterOptions};
use crate::commands::{CommonOptions, clear};
use crate::exit::{Exit, Failure};
use crate::output::{Confirmation, Output};

/// Delete dead letters
///
/// The plan is shown first, and nothing is changed before it is confirmed. Without a filter, all
/// letters are deleted at once, as by `ivy clear`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The queue, such as mail, or its dead-letter queue, mail.dead
    queue: QueueName,

    /// Look at so many letters at most
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,

    #[command(flatten)]
    filter: FilterOptions,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, limit, filter, confirmation, common } = options;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let (dead, filter) = (dead_queue(queue)?, filter.filter()?);
    if filter.is_empty() && limit.is_none() {
        return clear::queue(&ivy, &dead, confirmation, &output).await;
    }
    check_exists(&ivy, &dead).await?;
    let mut config = SweepConfig::delete(dead).with_filter(filter);
    if let Some(limit) = limit {
        config = config.with_limit(*limit);
    }
    sweep::change(ivy.admin().sweep(config)?, confirmation, &output).await
}
