//! A Redis that is killed while tasks run, and comes back.

use std::time::Duration;

use ivy_tests::PATIENCE;
use ivy_tokio::event::Part;
use ivy_tokio::{ErrorKind, Event, Task, TaskError};

use crate::stage::{Stage, until};

const DOUBLE: Task<(u64,), u64> = Task::new("number.double").queue("numbers");
const TASKS: u64 = 300;

async fn double(n: u64) -> Result<u64, TaskError> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    Ok(2 * n)
}

#[tokio::test]
async fn tasks_go_on_without_it_and_results_come_again_with_it() {
    let mut stage = Stage::plain().await;
    let ivy = stage.ivy();
    let mut events = ivy.events();
    let worker = ivy.worker().register(&DOUBLE, double);
    let handles = ivy.call_many(&DOUBLE, (0..TASKS).map(|n| (n,))).await;
    let _worker = worker.start().await.unwrap();

    until(&mut events, |event| matches!(event, Event::CallerResumed { .. }).then_some(())).await;
    stage.redis.kill_hard().await;
    assert!(stage.ironmq.size("numbers").await > 0, "Redis must be killed while there is work");
    stage.until_size("numbers", 0).await;
    assert_eq!(stage.ironmq.size("numbers.dead").await, 0);
    stage.redis.restart().await;

    // What was published to nobody is gone; a result that did come is the right one.
    for (n, handle) in (0..TASKS).zip(handles) {
        match handle.unwrap().result(Duration::from_millis(1)).await {
            Ok(result) => assert_eq!(result, 2 * n),
            Err(error) => assert_eq!(error.kind(), ErrorKind::TimedOut),
        }
    }
    until(&mut events, |event| {
        matches!(event, Event::Recovered { part: Part::Notifier }).then_some(())
    })
    .await;
    let handle = ivy.call(&DOUBLE, (21,)).await.unwrap();
    assert_eq!(handle.result(PATIENCE).await.unwrap(), 42);
}

#[tokio::test]
async fn the_first_result_of_a_worker_that_rested_through_a_restart_arrives() {
    let mut stage = Stage::plain().await;
    let ivy = stage.ivy();
    let mut events = ivy.events();
    let _worker = ivy.worker().register(&DOUBLE, double).start().await.unwrap();
    let handle = ivy.call(&DOUBLE, (1,)).await.unwrap();
    assert_eq!(handle.result(PATIENCE).await.unwrap(), 2);

    stage.redis.kill_hard().await;
    stage.redis.restart().await;
    until(&mut events, |event| {
        matches!(event, Event::Recovered { part: Part::Notifier }).then_some(())
    })
    .await;
    // Longer than a connection is trusted to stand without a look.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let handle = ivy.call(&DOUBLE, (2,)).await.unwrap();
    assert_eq!(handle.result(PATIENCE).await.unwrap(), 4);
}
