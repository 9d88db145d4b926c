//! The async-std adapter under smol, on real sockets.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use ivy_async_std::{Ivy, Task, TaskError};
use ivy_test_kit::{IvyServer, PATIENCE, RedisServer};
use tokio::runtime::{Handle, Runtime};

const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test");

async fn double(n: u64) -> Result<u64, TaskError> {
    assert!(Handle::try_current().is_err(), "a handler does not run in a tokio runtime");
    Ok(smol::spawn(async move { 2 * n }).await)
}

#[test]
fn tasks_and_results_travel_over_ironmq_and_redis() {
    // Only the servers need tokio.
    let servers = Runtime::new().unwrap();
    let (ironmq, redis) =
        servers.block_on(async { (IvyServer::start().await, RedisServer::start().await) });
    smol::block_on(async {
        let ivy = Ivy::builder().queue_url(&ironmq.url()).notifier_url(&redis.url());
        let ivy = ivy.build().unwrap();
        let worker = ivy.worker().register(&DOUBLE, double).start().await.unwrap();
        let calls = (0..50).map(|n| {
            let ivy = ivy.clone();
            smol::spawn(
                async move { ivy.call(&DOUBLE, (n,)).await.unwrap().result(PATIENCE).await },
            )
        });
        for (n, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
            assert_eq!(call.await.unwrap(), 2 * n as u64);
        }
        worker.drain(PATIENCE).await;
        assert_eq!(ivy.admin().info("test").await.unwrap().size, Some(0));
    });
}
