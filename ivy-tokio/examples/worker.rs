//! A worker that computes factorials until it receives a signal.
//!
//! It reads its configuration from the environment: see `Ivy::from_env`. With a local Redis, for
//! example:
//!
//! ```text
//! export IVY_QUEUE_URL=redis://127.0.0.1
//! cargo run -p ivy-tokio --example worker
//! ```
//!
//! SIGINT (Ctrl-C), SIGTERM or SIGHUP (the terminal is closed) drains it: running tasks are
//! finished, waiting messages are released.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its results")]

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use ivy_tokio::event::{Event, Level};
use ivy_tokio::ivy_proto::inspect::Timestamp;
use ivy_tokio::{Ivy, Task, TaskError};

/// How long running tasks may take after the signal.
const DRAIN_LIMIT: Duration = Duration::from_secs(8);

/// Runs the task `testpackage.factorial` until SIGINT, SIGTERM or SIGHUP.
#[derive(Parser)]
struct Options {
    /// The queue to serve.
    #[arg(long, default_value = "testpackage")]
    queue: String,
    /// How many tasks run at the same time.
    #[arg(long, default_value_t = 10)]
    concurrency: usize,
}

async fn factorial(n: u64) -> Result<u64, TaskError> {
    (1..=n)
        .try_fold(1, u64::checked_mul)
        // A retry would not help.
        .ok_or_else(|| TaskError::fatal(format!("{n}! does not fit into 64 bits; 20! is the last")))
}

async fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    // Before the worker starts: a signal in between would end the process without a drain.
    let stop = stop_signal()?;
    let task = Task::new("testpackage.factorial").queue(options.queue.clone().leak());
    let ivy = Ivy::from_env()?;
    // Those of the worker, and those about the queue's server.
    let mut events = ivy.events();
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if event.level() != Level::Debug {
                log(&event);
            }
        }
    });
    let worker =
        ivy.worker().register(&task, factorial).concurrency(options.concurrency).start().await?;
    println!("serving {} from queue {}; Ctrl-C stops it", task.name(), options.queue);
    stop.await;
    println!("draining");
    worker.drain(DRAIN_LIMIT).await;
    Ok(())
}

/// Prints an event with its time.
fn log(event: &Event) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    eprintln!("{now} {event}");
}

/// Registers the handlers of the signals. The future completes with the first signal.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// Registers the handler of Ctrl-C. The future completes with it.
#[cfg(windows)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}

#[tokio::main]
async fn main() -> ExitCode {
    match serve(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
