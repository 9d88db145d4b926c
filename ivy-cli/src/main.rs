//! The `ivy` program: `ivy serve`, a local IronMQ v3 server for development and tests, and `ivy keys`,
//! which creates, lists and rotates keyset files.

mod keys;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Thousands of waiting connections each have large, mostly unused buffers. The system's allocator
/// writes a header in front of each buffer, which doubles the memory in use.
#[cfg(unix)]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Debug, Parser)]
#[command(name = "ivy", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Options),
    Keys(keys::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(options) => serve::run(&options).map_err(|error| error.to_string()),
        Command::Keys(options) => keys::run(&options).map_err(|error| error.to_string()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ivy: {error}");
            ExitCode::FAILURE
        }
    }
}
