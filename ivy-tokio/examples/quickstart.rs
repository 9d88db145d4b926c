//! A producer and a worker in one process, with queue and notifier in memory: no server is needed.
//!
//! ```text
//! cargo run -p ivy-tokio --example quickstart
//! ```

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;
use std::time::Duration;

use ivy_tokio::{Backoff, Content, Ctx, ErrorKind, Ivy, Task, TaskError};

/// The definition of a task: its name, arguments, result and queue. Producer and worker share it;
/// in a real program it is in a crate that both use.
const FACTORIAL: Task<(u64,), u64> = Task::new("quickstart.factorial").queue("quickstart");
/// A task that fails and is retried twice.
const UNLUCKY: Task<(String,), ()> =
    Task::new("quickstart.unlucky").queue("quickstart").max_retries(2);

/// A handler is an ordinary function, which can be called and tested like any other.
async fn factorial(n: u64) -> Result<u64, TaskError> {
    (1..=n)
        .try_fold(1, u64::checked_mul)
        .ok_or_else(|| TaskError::fatal(format!("{n}! does not fit into 64 bits")))
}

/// A handler that takes its context, which precedes the arguments.
async fn unlucky(ctx: Ctx, what: String) -> Result<(), TaskError> {
    println!("attempt {} of {} fails", ctx.attempt(), ctx.max_attempts());
    Err(TaskError::new(format!("no luck with {what}")))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Later: "ironmq://TOKEN@HOST/PROJECT" and a Redis server for the results, or `Ivy::from_env()`.
    let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://").build()?;

    let worker = ivy
        .worker()
        .register(&FACTORIAL, factorial)
        .register(&UNLUCKY, unlucky)
        // The default backoff is a second or more, too long for an example.
        .backoff(Backoff::new(Duration::from_millis(50), 2, Duration::from_secs(1)))
        .start()
        .await?;

    // The call returns when the queue has accepted the task; its handle waits for the result.
    let result = ivy.call(&FACTORIAL, (5,)).await?.result(Duration::from_secs(5)).await?;
    println!("5! = {result}");

    // A task that fails permanently is moved to the dead-letter queue, and its caller gets the
    // error.
    let handle = ivy.call(&UNLUCKY, ("this".to_owned(),)).await?;
    match handle.result(Duration::from_secs(30)).await {
        Err(error) if error.kind() == ErrorKind::Failed => println!("{error}"),
        other => return Err(format!("expected a failure, got {other:?}").into()),
    }
    for kept in ivy.admin().peek("quickstart.dead", 10).await? {
        if let Content::DeadLetter { letter, task } = kept.content {
            println!("quickstart.dead contains {}, because of {}", task?.name, letter.reason);
        }
    }

    worker.drain(Duration::from_secs(5)).await;
    Ok(())
}
