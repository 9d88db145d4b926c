//! `ivy dead requeue`: returns dead letters to their queues.

use ivy_proto::QueueName;
use ivy_proto::admin::SweepConfig;

use super::dead_queue;
use crate::commands::sweep::{self, ChangeOptions, PostingOptions};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::Output;

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

    #[command(flatten)]
    posting: PostingOptions,
    #[command(flatten)]
    pub(crate) change: ChangeOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, to, posting, change } = options;
    let mut interrupts = Interrupts::watch()?;
    let common = &change.common;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let mut requeue = posting.requeue();
    if let Some(to) = to {
        requeue = requeue.to(to.clone());
    }
    let config = change.apply(SweepConfig::requeue(dead_queue(queue)?, requeue))?;
    sweep::change(&ivy, config, &change.confirmation, &output, &mut interrupts).await
}
