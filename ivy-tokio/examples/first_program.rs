//! The first program of the README: a contract, a worker, a producer and a test.
//!
//! ```text
//! cargo run -p ivy-tokio --example first_program
//! cargo test -p ivy-tokio --example first_program
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::time::Duration;

use ivy_tokio::{Ivy, Task, TaskError};

/// The contract: all that producer and worker share.
const FACTORIAL: Task<(u64,), u64> = Task::new("math.factorial").queue("math").max_retries(3);

async fn factorial(n: u64) -> Result<u64, TaskError> {
    // A retry would overflow again, so this error is final.
    (1..=n).try_fold(1, u64::checked_mul).ok_or_else(|| TaskError::fatal("does not fit in 64 bits"))
}

#[tokio::main]
async fn main() -> ivy_tokio::Result<()> {
    let ivy = Ivy::connect("memory://")?;

    // The worker. Usually a program of its own, with "redis://.." or `Ivy::from_env()`.
    let worker = ivy.worker().register(&FACTORIAL, factorial).concurrency(4).start().await?;

    // The producer.
    let handle = ivy.call(&FACTORIAL, (5,)).await?;
    println!("5! = {}", handle.result(Duration::from_secs(5)).await?);

    worker.drain(Duration::from_secs(8)).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_failure_comes_back_as_a_value() -> ivy_tokio::Result<()> {
    let ivy = Ivy::connect("memory://")?;
    let _worker = ivy.worker().register(&FACTORIAL, factorial).start().await?;
    let handle = ivy.call(&FACTORIAL, (21,)).await?;
    let error = handle.result(Duration::from_secs(5)).await.expect_err("21! is too large");
    assert_eq!(error.failure().expect("it failed").message, "does not fit in 64 bits");
    Ok(())
}
