//! `ivy peek`: the next messages of a queue.

use ivy_proto::text::Counted;

use super::message::{COLUMNS, Message, MessageRecord};
use super::redaction::RedactionOptions;
use super::time::now;
use super::{CommonOptions, queue_not_found};
use crate::exit::{Exit, Failure};
use crate::output::{Note, Output, Page, Report};

/// The maximum number of messages per request, which is the limit of this command.
const MOST: usize = 100;

/// Show the next messages of a queue, without reserving them
///
/// Reserved and delayed messages are not shown. Of each task's arguments, only their number and size
/// are shown, unless requested otherwise.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The physical queue, such as mail, mail.p1 or mail.dead
    queue: ivy_proto::QueueName,

    /// How many messages, 1 to 100
    #[arg(short = 'n', long = "count", default_value_t = 10, value_parser = count)]
    count: usize,

    #[command(flatten)]
    redaction: RedactionOptions,
    #[command(flatten)]
    pub(crate) common: CommonOptions,
}

fn count(text: &str) -> Result<usize, &'static str> {
    let count = ivy_proto::text::number(text).filter(|count| (1..=MOST).contains(count));
    count.ok_or("it must be from 1 to 100")
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let Options { queue, count, redaction, common } = options;
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    let showing = redaction.showing();
    let peeked = match ivy.admin().peek(queue.as_str(), *count).await {
        Ok(peeked) => peeked,
        Err(error) => return Err(queue_not_found::explain(&ivy, queue.as_str(), error).await),
    };
    let now = now();
    let messages: Vec<Message> =
        peeked.into_iter().map(|peeked| Message::of(queue, peeked, &showing, now)).collect();
    if messages.is_empty() {
        return empty(options, &ivy, &output).await;
    }
    output.show(&Messages(messages))?;
    Ok(Exit::Done)
}

/// Explains why there is nothing to show. Some servers report an empty list for a queue that does
/// not exist.
async fn empty(options: &Options, ivy: &ivy_tokio::Ivy, output: &Output) -> Result<Exit, Failure> {
    let queue = options.queue.as_str();
    let info = match ivy.admin().info(queue).await {
        Ok(info) => info,
        Err(error) => return Err(queue_not_found::explain(ivy, queue, error).await),
    };
    output.note(&Note::new(match info.size {
        Some(0) => format!("queue {queue} is empty"),
        Some(size) => format!(
            "queue {queue} has {}, none of which can be shown: they are reserved, delayed, or too \
             large; for what its workers do with them: ivy explain {queue} --workers",
            Counted(size, "message", "messages")
        ),
        None => format!("queue {queue} has no messages that are ready"),
    }))?;
    Ok(Exit::Done)
}

/// Some messages of a queue.
struct Messages(Vec<Message>);

impl Report for Messages {
    type Record<'a> = MessageRecord<'a>;

    fn page(&self, page: &mut Page) {
        page.table(&COLUMNS, self.0.iter().map(Message::cells));
    }

    fn records(&self) -> impl Iterator<Item = MessageRecord<'_>> {
        self.0.iter().map(Message::record)
    }
}
