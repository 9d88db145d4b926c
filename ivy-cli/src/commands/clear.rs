//! `ivy clear`: deletes all messages of a queue.

use ivy_proto::QueueName;
use ivy_tokio::Ivy;

use super::contents::Contents;
use super::queue_change::{Action, QueueChange};
use super::{CommonOptions, queue_not_found};
use crate::exit::{Exit, Failure};
use crate::output::{Answer, Confirmation, Output};

/// Delete all messages of a queue, including reserved and delayed ones
///
/// Also those that cannot be read without a key, that are too large to be shown, and that arrive
/// before the answer. Of a dead-letter queue, the question says what it contains.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The physical queue, such as mail, mail.p1 or mail.dead
    queue: QueueName,

    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, confirmation, common } = options;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    self::queue(&ivy, queue, confirmation, &output).await
}

/// Deletes all messages of a queue.
pub(super) async fn queue(
    ivy: &Ivy,
    queue: &QueueName,
    confirmation: &Confirmation,
    output: &Output,
) -> Result<Exit, Failure> {
    let messages = match ivy.admin().info(queue.as_str()).await {
        Ok(info) => info.size,
        Err(error) => return Err(queue_not_found::explain(ivy, queue.as_str(), error).await),
    };
    let contents = Contents::look(ivy, queue, messages).await;
    let queue = queue.clone();
    let mut change =
        QueueChange { action: Action::Clear, queue, messages, contents, is_done: false };
    if !confirmation.dry_run {
        let queue = change.queue.as_str();
        confirmation.ask(&change.question(), Answer::Name(queue)).await?;
        ivy.admin().clear(queue).await?;
        change.is_done = true;
    }
    output.show(&change)?;
    Ok(Exit::Done)
}
