//! The crate runs equally under smol: its futures are awaited on smol's executors only.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::time::Duration;

use ivy_async_std::{Ctx, ErrorKind, Ivy, Task, TaskError};

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");
const LIMITED: Task<(), ()> =
    Task::new("test.limited").queue("test").time_limit(Duration::from_millis(100)).max_retries(0);
const PATIENCE: Duration = Duration::from_secs(60);

fn ivy() -> Ivy {
    Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap()
}

/// A handler that uses smol's timer and spawns a smol task.
async fn double(n: u64) -> Result<u64, TaskError> {
    smol::Timer::after(Duration::from_millis(1)).await;
    Ok(smol::spawn(async move { 2 * n }).await)
}

/// A handler that ends only when cancelled.
async fn wait_until_cancelled(ctx: Ctx) -> Result<(), TaskError> {
    ctx.cancelled().cancelled().await;
    smol::future::pending().await
}

#[test]
fn tasks_are_called_and_run_under_smol() {
    smol::block_on(async {
        let ivy = ivy();
        let worker = ivy.worker().register(&DOUBLE, double).start().await.unwrap();
        let calls = (0..10).map(|n| {
            let ivy = ivy.clone();
            smol::spawn(
                async move { ivy.call(&DOUBLE, (n,)).await.unwrap().result(PATIENCE).await },
            )
        });
        for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(call.await.unwrap(), 2 * n as u64);
        }
        worker.drain(PATIENCE).await;
    });
}

#[test]
fn time_limits_work_under_smol() {
    smol::block_on(async {
        let ivy = ivy();
        let _worker = ivy.worker().register(&LIMITED, wait_until_cancelled).start().await.unwrap();
        let handle = ivy.call(&LIMITED, ()).await.unwrap();
        let error = handle.result(Duration::from_millis(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(handle.result(PATIENCE).await.unwrap_err().kind(), ErrorKind::Failed);
    });
}

#[test]
fn any_executor_can_drive_the_futures() {
    let executor = smol::LocalExecutor::new();
    let result = smol::future::block_on(executor.run(async {
        let ivy = ivy();
        let _worker = ivy.worker().register(&DOUBLE, double).start().await.unwrap();
        let calling = executor.spawn(async move { ivy.call(&DOUBLE, (21,)).await });
        calling.await.unwrap().result(PATIENCE).await.unwrap()
    }));
    assert_eq!(result, 42);
}
