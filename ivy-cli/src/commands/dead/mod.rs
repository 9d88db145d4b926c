//! `ivy dead`: dead letters.

mod delete;
mod export;
mod import;
mod ls;
mod requeue;
mod show;
mod stored;

use clap::Subcommand;
use ivy_proto::QueueName;

use super::CommonOptions;
use crate::exit::{Exit, Failure};

/// Show dead letters, and requeue or delete them
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(ls::Options),
    Show(show::Options),
    Requeue(requeue::Options),
    Delete(delete::Options),
    Export(export::Options),
    Import(import::Options),
}

impl Options {
    pub(crate) fn common(&self) -> &CommonOptions {
        match &self.command {
            Command::Ls(options) => &options.common,
            Command::Show(options) => &options.common,
            Command::Requeue(options) => &options.change.common,
            Command::Delete(options) => &options.change.common,
            Command::Export(options) => &options.common,
            Command::Import(options) => &options.common,
        }
    }
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    match &options.command {
        Command::Ls(options) => ls::run(options).await,
        Command::Show(options) => show::run(options).await,
        Command::Requeue(options) => requeue::run(options).await,
        Command::Delete(options) => delete::run(options).await,
        Command::Export(options) => export::run(options).await,
        Command::Import(options) => import::run(options).await,
    }
}

/// The dead-letter queue that a user names, by itself or by the queue that it belongs to.
fn dead_queue(queue: &QueueName) -> Result<QueueName, Failure> {
    match queue.of_dead_letters() {
        Some(_) => Ok(queue.clone()),
        None => queue.dead_letter_queue().map_err(Failure::usage),
    }
}
