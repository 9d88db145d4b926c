//! The commands for operators. Each computes a report, which [`output`](crate::output) prints.

pub(crate) mod call;
mod call_options;
pub(crate) mod clear;
pub(crate) mod completions;
mod contents;
pub(crate) mod dead;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod exporter;
mod heard;
mod lines;
pub(crate) mod ls;
pub(crate) mod man;
mod message;
pub(crate) mod move_messages;
mod overview;
pub(crate) mod peek;
pub(crate) mod queue;
mod queue_change;
mod queue_not_found;
mod queue_row;
mod queues;
mod redaction;
pub(crate) mod send;
pub(crate) mod show;
pub(crate) mod stats;
mod sweep;
mod task_counts;
mod time;
mod watch;
pub(crate) mod workers;

use std::process::ExitCode;

use crate::connection::ConnectionOptions;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupts;
use crate::output::{OutputOptions, complain};

/// The options of every command that asks a server.
#[derive(Debug, clap::Args)]
pub(crate) struct CommonOptions {
    #[command(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

/// Parses how many of something are looked at or shown, at most.
fn limit(text: &str) -> Result<usize, &'static str> {
    ivy_proto::text::number(text).filter(|limit| *limit > 0).ok_or("it must be at least 1")
}

/// Runs a command that changes nothing, or everything with its last request. Ctrl-C ends it.
pub(crate) fn interruptible(
    common: &CommonOptions,
    command: impl Future<Output = Result<Exit, Failure>>,
) -> ExitCode {
    run(common, async {
        let mut interrupts = Interrupts::watch()?;
        tokio::select! {
            outcome = command => outcome,
            () = interrupts.next() => Err(Failure::interrupted()),
        }
    })
}

/// Runs a command that handles Ctrl-C itself.
pub(crate) fn run(
    common: &CommonOptions,
    command: impl Future<Output = Result<Exit, Failure>>,
) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(command);
            // A thread may still wait for an answer that nobody needs any more.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::local("cannot start", error)),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            complain(&failure, common.output.json);
            failure.exit.into()
        }
    }
}
