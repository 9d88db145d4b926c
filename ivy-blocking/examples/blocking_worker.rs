//! A worker that computes factorials until it receives a signal.
//!
//! It reads its configuration from the environment: see `Ivy::from_env`. With a local Redis, for
//! example:
//!
//! ```text
//! export IVY_QUEUE_URL=redis://127.0.0.1
//! cargo run -p ivy-blocking --example blocking_worker
//! ```
//!
//! SIGINT (Ctrl-C), SIGTERM or SIGHUP (the terminal is closed) drains it: running tasks are
//! finished, waiting messages are released.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its results")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use ivy_blocking::event::{Event, Level};
use ivy_blocking::ivy_proto::inspect::Timestamp;
use ivy_blocking::{Ivy, Task, TaskError};

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

fn factorial(n: u64) -> Result<u64, TaskError> {
    (1..=n)
        .try_fold(1, u64::checked_mul)
        // A retry would not help.
        .ok_or_else(|| TaskError::fatal(format!("{n}! does not fit into 64 bits; 20! is the last")))
}

fn serve(options: Options) -> Result<(), Box<dyn Error>> {
    // Before the worker starts: a signal in between would end the process without a drain.
    let stop = stop_signal()?;
    let task = Task::new("testpackage.factorial").queue(options.queue.clone().leak());
    let ivy = Ivy::from_env()?;
    // Those of the worker, and those about the queue's server.
    let events = ivy.events();
    thread::spawn(move || {
        for event in events {
            if event.level() != Level::Debug {
                log(&event);
            }
        }
    });
    let worker =
        ivy.worker().register(&task, factorial).concurrency(options.concurrency).start()?;
    println!("serving {} from queue {}; Ctrl-C stops it", task.name(), options.queue);
    stop.recv()?;
    println!("draining");
    worker.drain(DRAIN_LIMIT);
    Ok(())
}

/// Prints an event with its time.
fn log(event: &Event) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    eprintln!("{now} {event}");
}

/// Registers the handlers of the signals, which send to the receiver.
fn stop_signal() -> Result<Receiver<()>, ctrlc::Error> {
    let (stop, stopped) = mpsc::channel();
    ctrlc::set_handler(move || {
        // A later signal has no effect: the worker is already draining.
        let _ = stop.send(());
    })?;
    Ok(stopped)
}

fn main() -> ExitCode {
    match serve(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
