//! Calls a worker to compute factorials and prints them in the order of its arguments.
//!
//! It reads its configuration from the environment: see `Ivy::from_env`, and the worker's example.
//!
//! ```text
//! cargo run -p ivy-blocking --example blocking_producer -- 3 4 5
//! ```

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its results")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use ivy_blocking::{Ivy, Result, Task};

/// Computes factorials by calling the task `testpackage.factorial`.
#[derive(Parser)]
struct Options {
    /// The numbers to compute the factorials of.
    #[arg(required = true)]
    numbers: Vec<u64>,
    /// The queue that the worker serves.
    #[arg(long, default_value = "testpackage")]
    queue: String,
    /// How long to wait for each result, in seconds. If a worker is killed, another one runs its
    /// tasks after half a minute.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
    /// How many calls are in flight at the same time.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
}

/// Prints a line for each number. Stops at the first call that fails.
fn compute(options: Options) -> Result<()> {
    let task: Task<(u64,), u64> = Task::new("testpackage.factorial").queue(options.queue.leak());
    let ivy = Ivy::from_env()?;
    for numbers in options.numbers.chunks(usize::from(options.concurrency)) {
        let calls = ivy.call_many(&task, numbers.iter().map(|number| (*number,)));
        for (number, call) in numbers.iter().zip(calls) {
            let factorial = call?.result(Duration::from_secs(options.timeout))?;
            println!("{number}! = {factorial}");
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match compute(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
