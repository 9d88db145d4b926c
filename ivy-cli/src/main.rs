//! The `ivy` program lists, inspects and repairs queues and dead letters.
//!
//! `cargo install ivy-cli` installs it. Its commands use the queues of the server that `IVY_QUEUE_URL`
//! or `--queue-url` names: `ivy ls`, `ivy stats`, `ivy dead ls mail`, `ivy dead requeue
//! mail --all`, `ivy explain mail --task ID`, `ivy workers`, `ivy doctor`. `ivy serve` is a local IronMQ
//! v3 server for development and tests. `ivy keys` creates, lists and rotates keyset files.
//!
//! `ivy --help` lists the commands; `guides/commands.md` of the repository shows how
//! to use them. The commands contain no logic of their own about messages: it is in
//! [`ivy_proto::admin`] and [`ivy_proto::inspect`].
//!
//! # Exit codes
//!
//! code | what happened
//! --- | ---
//! 0 | done
//! 1 | a request failed
//! 2 | the command line or the configuration is wrong
//! 3 | nothing was found
//! 4 | the backend does not support it
//! 5 | not confirmed
//! 6 | no result arrived in time
//! 7 | the task failed
//! 8 | done in part, or possibly done: see the report
//! 130 | interrupted

mod commands;
mod connection;
mod duration;
mod exit;
mod interrupt;
mod ironmq_server;
mod keys;
mod output;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use commands::{
    call, clear, completions, dead, doctor, explain, exporter, ls, man, move_messages, peek, queue,
    send, show, stats, workers,
};
use exit::{Exit, Failure};

/// Thousands of waiting connections each have large, mostly unused buffers. The system's allocator
/// writes a header in front of each buffer, which doubles the memory in use.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Inspect and repair the queues of ivy
#[derive(Debug, Parser)]
#[command(name = "ivy", version, propagate_version = true, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Ls(ls::Options),
    Stats(stats::Options),
    Peek(peek::Options),
    Show(show::Options),
    Explain(explain::Options),
    Send(send::Options),
    Call(call::Options),
    Dead(dead::Options),
    Move(move_messages::Options),
    Clear(clear::Options),
    Queue(queue::Options),
    Workers(workers::Options),
    Doctor(doctor::Options),
    Exporter(exporter::Options),
    Serve(ironmq_server::Options),
    Keys(keys::Options),
    Completions(completions::Options),
    Man(man::Options),
}

fn main() -> ExitCode {
    use commands::{interruptible, run};

    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refused(&error),
    };
    match cli.command {
        Command::Ls(options) => interruptible(&options.overview.common, ls::run(&options)),
        Command::Stats(options) => interruptible(&options.overview.common, stats::run(&options)),
        Command::Peek(options) => interruptible(&options.common, peek::run(&options)),
        Command::Show(options) => interruptible(&options.common, show::run(&options)),
        Command::Explain(options) => interruptible(&options.common, explain::run(&options)),
        Command::Send(options) => run(&options.common, send::run(&options)),
        Command::Call(options) => run(&options.common, call::run(&options)),
        Command::Dead(options) => run(options.common(), dead::run(&options)),
        Command::Move(options) => run(&options.change.common, move_messages::run(&options)),
        Command::Clear(options) => interruptible(&options.common, clear::run(&options)),
        Command::Queue(options) => interruptible(options.common(), queue::run(&options)),
        Command::Workers(options) => interruptible(&options.common, workers::run(&options)),
        Command::Doctor(options) => interruptible(&options.common, doctor::run(&options)),
        Command::Exporter(options) => interruptible(&options.common, exporter::run(&options)),
        Command::Serve(options) => ended(ironmq_server::run(&options).map(|()| Exit::Done)),
        Command::Keys(options) => ended(keys::run(&options).map(|()| Exit::Done)),
        Command::Completions(options) => ended(completions::run(&options, Cli::command())),
        Command::Man(options) => ended(man::run(&options, Cli::command())),
    }
}

/// Prints the help or the version, or why the command line is wrong. An error repeats arguments,
/// which may contain control characters.
fn refused(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        output::print_error(&error.render().to_string());
        return Exit::UsageError.into();
    }
    match error.print() {
        Ok(()) => Exit::Done.into(),
        Err(_) => Exit::Failed.into(),
    }
}

/// The exit code of a command that asks no server.
fn ended<E>(outcome: Result<Exit, E>) -> ExitCode
where
    Failure: From<E>,
{
    match outcome {
        Ok(exit) => exit.into(),
        Err(error) => {
            let failure = Failure::from(error);
            output::complain(&failure, false);
            failure.exit.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_that_alerts_name_exist() {
        let rules = include_str!("../../contrib/prometheus/ivy.rules.yml");
        let commands = rules.lines().filter_map(|line| line.trim().strip_prefix("command: "));
        let commands: Vec<_> = commands.collect();
        assert_eq!(commands.len(), rules.matches("- alert: ").count());
        for command in commands {
            let words = command.replace("{{ $labels.queue }}", "mail");
            if let Err(error) = Cli::try_parse_from(words.split(' ')) {
                panic!("{command}: {error}");
            }
        }
    }
}
