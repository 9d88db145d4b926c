//! `ivy dead`: dead letters.

mod ls;
mod show;

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
}

impl Options {
    pub(crate) fn common(&self) -> &CommonOptions {
        match &self.command {
            Command::Ls(options) => &options.common,
            Command::Show(options) => &options.common,
        }
    }
}

pub(crate) async fn run(options: &Options) -> Result<Exit, Failure> {
    match &options.command {
        Command::Ls(options) => ls::run(options).await,
        Command::Show(options) => show::run(options).await,
    }
}

/// The dead-letter queue that a user names, by itself or by the queue that it belongs to.
fn dead_queue(queue: &QueueName) -> Result<QueueName, Failure> {
    match queue.of_dead_letters() {
        Some(_) => Ok(queue.clone()),
        None => queue.dead_letters().map_err(Failure::wrong_call),
    }
}
