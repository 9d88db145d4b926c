//! `ivy dead show`: one dead letter.

use ivy_proto::QueueName;

use super::dead_queue;
use crate::commands::redaction::RedactionOptions;
use crate::commands::{CommonOptions, show};
use crate::exit::{Exit, Failure};

/// Show one dead letter with its error
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The queue, such as mail, or its dead-letter queue, mail.dead
    queue: QueueName,

    /// The message's id in the dead-letter queue, as `ivy dead ls --list` prints it
    #[arg(allow_hyphen_values = true)]
    message: String,

    #[command(flatten)]
    redaction: RedactionOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, message, redaction, common } = options;
    show::message(common, &dead_queue(queue)?, message, &redaction.showing()).await
}
