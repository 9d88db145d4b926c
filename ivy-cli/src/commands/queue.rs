//! `ivy queue`: the settings of queues, and whether they exist.

use std::iter;
use std::time::Duration;

use clap::Subcommand;
use ivy_proto::QueueName;
use ivy_proto::inspect::Span;
use ivy_proto::queue::QueueSettings;
use ivy_tokio::{FaultKind, Ivy, QueueInfo};
use serde::Serialize;

use super::contents::Contents;
use super::queue_change::{Action, QueueChange};
use super::time::seconds;
use super::{CommonOptions, queue_not_found};
use crate::duration;
use crate::exit::{Exit, Failure, fault_kind};
use crate::output::{Answer, Confirmation, Output, Page, Report};

/// Show, create, change and delete queues
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the settings of a queue
    Show {
        /// The physical queue
        queue: QueueName,
        #[command(flatten)]
        common: CommonOptions,
    },
    /// Create a queue with the server's own settings, unless it exists
    ///
    /// This is rarely needed: a queue is created by its first message. A queue that exists and that
    /// `ivy ls` does not list, because the server lost that entry, is listed again.
    Create {
        /// The physical queue
        queue: QueueName,
        #[command(flatten)]
        common: CommonOptions,
    },
    /// Change settings of a queue
    ///
    /// Those that are not given stay as they are.
    Set {
        /// The physical queue
        queue: QueueName,
        #[command(flatten)]
        settings: SettingsOptions,
        #[command(flatten)]
        common: CommonOptions,
    },
    /// Delete a queue with all its messages
    Delete {
        /// The physical queue
        queue: QueueName,
        #[command(flatten)]
        confirmation: Confirmation,
        #[command(flatten)]
        common: CommonOptions,
    },
}

/// The settings to be changed.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct SettingsOptions {
    /// How long messages are kept, dead letters as well, such as 30d
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    keep: Option<Duration>,

    /// The lease of messages that are reserved without one, such as 60s. Workers request their own
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    default_lease: Option<Duration>,
}

impl Options {
    pub(crate) fn common(&self) -> &CommonOptions {
        match &self.command {
            Command::Show { common, .. }
            | Command::Create { common, .. }
            | Command::Set { common, .. }
            | Command::Delete { common, .. } => common,
        }
    }
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    let common = options.common();
    let (ivy, output) = (common.connection.connect()?, Output::new(&common.output));
    match &options.command {
        Command::Show { queue, .. } => output.show(&Settings(info(&ivy, queue).await?))?,
        Command::Create { queue, .. } => output.show(&create(&ivy, queue).await?)?,
        Command::Set { queue, settings, .. } => {
            output.show(&Settings(set(&ivy, queue, settings).await?))?;
        }
        Command::Delete { queue, confirmation, .. } => {
            output.show(&delete(&ivy, queue, confirmation).await?)?;
        }
    }
    Ok(Exit::Done)
}

async fn info(ivy: &Ivy, queue: &QueueName) -> Result<QueueInfo, Failure> {
    match ivy.admin().info(queue.as_str()).await {
        Ok(info) => Ok(info),
        Err(error) => Err(queue_not_found::explain(ivy, queue.as_str(), error).await),
    }
}

/// A queue that exists is created as well: its server may have lost its entry in the list of queues.
async fn create(ivy: &Ivy, queue: &QueueName) -> Result<QueueChange, Failure> {
    let (action, messages) = match ivy.admin().info(queue.as_str()).await {
        Ok(info) => {
            let listed = ivy.admin().list(queue.as_str()).await?.contains(queue);
            if !listed {
                ivy.admin().create(queue.as_str()).await?;
            }
            (if listed { Action::Keep } else { Action::List }, info.size)
        }
        Err(error) if fault_kind(&error) == Some(FaultKind::NoQueue) => {
            (Action::Create, ivy.admin().create(queue.as_str()).await?.size)
        }
        Err(error) => return Err(error.into()),
    };
    Ok(QueueChange { action, queue: queue.clone(), messages, contents: None, is_done: true })
}

async fn set(
    ivy: &Ivy,
    queue: &QueueName,
    options: &SettingsOptions,
) -> Result<QueueInfo, Failure> {
    // A server may create a queue that does not exist, because of a typing error.
    info(ivy, queue).await?;
    let mut settings = QueueSettings::default();
    settings.message_expiration = options.keep;
    settings.message_timeout = options.default_lease;
    ivy.admin().update(queue.as_str(), settings).await?;
    info(ivy, queue).await
}

async fn delete(
    ivy: &Ivy,
    queue: &QueueName,
    confirmation: &Confirmation,
) -> Result<QueueChange, Failure> {
    let messages = info(ivy, queue).await?.size;
    let contents = Contents::look(ivy, queue, messages).await;
    let queue = queue.clone();
    let mut change =
        QueueChange { action: Action::Delete, queue, messages, contents, is_done: false };
    if !confirmation.dry_run {
        let queue = &change.queue;
        confirmation.ask(&change.question(), Answer::Name(queue.as_str())).await?;
        ivy.admin().delete(queue.as_str()).await?;
        change.is_done = true;
    }
    Ok(change)
}

/// A queue in JSON.
#[derive(Debug, Serialize)]
struct Record<'a> {
    queue: &'a str,
    size: Option<u64>,
    posted: Option<u64>,
    reservable: Option<bool>,
    message_timeout: Option<f64>,
    message_expiration: Option<f64>,
    dead_letter_queue: Option<&'a str>,
    max_reservations: Option<u32>,
}

/// What the server reports about a queue.
struct Settings(QueueInfo);

impl Report for Settings {
    type Record<'a> = Record<'a>;

    fn page(&self, page: &mut Page) {
        let QueueInfo { name, settings, size, total_messages, .. } = &self.0;
        let mut fields = vec![("queue", name.as_str().to_owned())];
        let mut optional = |label, value: Option<String>| {
            fields.extend(value.map(|value| (label, value)));
        };
        optional("messages", size.map(|size| size.to_string()));
        optional("ever posted", total_messages.map(|total| total.to_string()));
        let lease = |time: Duration| format!("{}; workers request their own", Span(time));
        optional("default lease", settings.message_timeout.map(lease));
        let kept = |time: Duration| format!("{}; dead letters as well", Span(time));
        optional("messages are kept for", settings.message_expiration.map(kept));
        let pushed = settings.reservable == Some(false);
        optional(
            "warning",
            pushed.then(|| {
                "the server delivers the messages to subscribers itself, so no worker receives them"
                    .to_owned()
            }),
        );
        let moved = settings.dead_letter.is_some();
        optional(
            "warning",
            moved.then(|| {
                "the server moves messages after a number of reservations, without a reason; remove \
                 that rule"
                    .to_owned()
            }),
        );
        page.fields(&fields);
    }

    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let QueueInfo { name, settings, size, total_messages, .. } = &self.0;
        let rule = settings.dead_letter.as_ref();
        iter::once(Record {
            queue: name.as_str(),
            size: *size,
            posted: *total_messages,
            reservable: settings.reservable,
            message_timeout: settings.message_timeout.map(seconds),
            message_expiration: settings.message_expiration.map(seconds),
            dead_letter_queue: rule
                .and_then(|rule| rule.queue.as_ref())
                .map(|queue| queue.as_str()),
            max_reservations: rule.and_then(|rule| rule.max_reservations),
        })
    }
}
