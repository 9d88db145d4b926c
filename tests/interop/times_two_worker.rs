//! A worker for tests that kill it: it records in Redis which of its tasks it has run, and has a
//! short lease.

use std::error::Error;
use std::time::Duration;

use ivy_tokio::{Ivy, Task, TaskError};
use redis::AsyncCommands;

const DOUBLE: Task<(u64,), u64> = Task::new("crash.double").queue("crash");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let journal = redis::Client::open(std::env::var("IVY_NOTIFIER_URL")?)?
        .get_multiplexed_async_connection()
        .await?;
    let double = move |n: u64| {
        let mut journal = journal.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            journal
                .sadd::<_, _, ()>("executed", n)
                .await
                .map_err(|error| TaskError::from_error(&error))?;
            Ok::<_, TaskError>(2 * n)
        }
    };
    let _worker = Ivy::from_env()?
        .worker()
        .register(&DOUBLE, double)
        .lease(Duration::from_secs(2))
        .start()
        .await?;
    std::future::pending().await
}
