//! `ivy show`: one message.

use std::iter;

use ivy_proto::{MessageId, QueueName};

use super::message::{Message, MessageRecord, Showing};
use super::redaction::RedactionOptions;
use super::time::now;
use super::{CommonOptions, queue_not_found};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Page, Report};

/// Show all of one message, which may be reserved or delayed
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The physical queue, such as mail, mail.p1 or mail.dead
    queue: QueueName,

    /// The message's id in the queue, as `ivy peek` and `ivy send` print it
    #[arg(allow_hyphen_values = true)]
    message: String,

    #[command(flatten)]
    redaction: RedactionOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, message, redaction, common } = options;
    self::message(common, queue, message, &redaction.showing()).await
}

/// Shows a message of this physical queue.
pub(super) async fn message(
    common: &CommonOptions,
    queue: &QueueName,
    message: &str,
    showing: &Showing,
) -> Result<Exit, Failure> {
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let message = match ivy.admin().get(queue.as_str(), &MessageId::new(message)).await {
        Ok(peeked) => Message::of(queue, peeked, showing, now()),
        Err(error) => return Err(queue_not_found::explain(&ivy, queue.as_str(), error).await),
    };
    output.show(&message)?;
    Ok(Exit::Done)
}

impl Report for Message {
    type Record<'a> = MessageRecord<'a>;

    fn page(&self, page: &mut Page) {
        Message::page(self, page);
    }

    fn records(&self) -> impl Iterator<Item = MessageRecord<'_>> {
        iter::once(self.record())
    }
}
