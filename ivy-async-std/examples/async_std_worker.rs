//! A worker that computes factorials until it is told to stop.
//!
//! It takes everything from the environment: see `Ivy::from_env`. With a local server, for example:
//!
//! ```text
//! export IVY_QUEUE_URL=ironmq+http://token@127.0.0.1:8080/0123456789abcdef01234567
//! export IVY_NOTIFIER_URL=redis://127.0.0.1
//! cargo run -p ivy-async-std --example async_std_worker
//! ```
//!
//! SIGINT (Ctrl-C), SIGTERM or SIGHUP (the terminal is closed) ends it: what runs is finished, what waits is given back.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what happens")]

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use async_signal::{Signal, Signals};
use clap::Parser;
use futures_util::StreamExt;
use ivy_async_std::event::Level;
use ivy_async_std::{Ivy, Task, TaskError};

/// How long running tasks may take after the worker was told to stop.
const DRAIN_LIMIT: Duration = Duration::from_secs(8);

/// Serves the task `testpackage.factorial` until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Options {
    /// The queue to serve.
    #[arg(long, default_value = "testpackage")]
    queue: String,
    /// How many tasks run at a time.
    #[arg(long, default_value_t = 10)]
    concurrency: usize,
}

async fn factorial(n: u64) -> Result<u64, TaskError> {
    (1..=n)
        .try_fold(1, u64::checked_mul)
        // Trying it again would not make it fit.
        .ok_or_else(|| TaskError::fatal(format!("{n}! does not fit into 64 bits; 20! is the last")))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    // Before anybody can know that this is running: a signal in between would end it undrained.
    let stop = stop_signal()?;
    let task = Task::new("testpackage.factorial").queue(options.queue.clone().leak());
    let worker = Ivy::from_env()?
        .worker()
        .register(&task, factorial)
        .concurrency(options.concurrency)
        .start()
        .await?;
    let mut events = worker.events();
    async_std::task::spawn(async move {
        while let Some(event) = events.next().await {
            if event.level() == Level::Warn {
                eprintln!("{event}");
            }
        }
    });
    println!("serving {} from queue {}; Ctrl-C ends it", task.name(), options.queue);
    stop.await;
    println!("draining");
    worker.drain(DRAIN_LIMIT).await;
    Ok(())
}

/// Takes the signals to stop from now on. The future ends with the first of them.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::new([Signal::Int, Signal::Term, Signal::Hup])?;
    Ok(async move {
        signals.next().await;
    })
}

#[async_std::main]
async fn main() -> ExitCode {
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
