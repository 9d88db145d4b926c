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
use ivy_tokio::Ivy;

use super::{CommonOptions, queue_not_found};
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
            Command::Requeue(options) => &options.common,
            Command::Delete(options) => &options.common,
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

/// Checks that a dead-letter queue exists.
async fn check_exists(ivy: &Ivy, dead: &QueueName) -> Result<(), Failure> {
    match ivy.admin().info(dead.as_str()).await {
        Ok(_) => Ok(()),
        Err(error) => Err(queue_not_found::explain(ivy, dead.as_str(), error).await),
    }
}

/// The dead-letter queue that a user names, by itself or by the queue that it belongs to.
fn dead_queue(queue: &QueueName) -> Result<QueueName, Failure> {
    match queue.of_dead_letters() {
        Some(_) => Ok(queue.clone()),
        None => queue.dead_letter_queue().map_err(Failure::wrong_call),
    }
}
