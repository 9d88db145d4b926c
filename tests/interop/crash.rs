//! A worker process that is killed in the middle of its work.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::time::Duration;

use ivy_test_kit::Process;
use ivy_tokio::{ErrorKind, Task};
use redis::AsyncCommands;

use crate::fixture::Fixture;

/// Served by the program `times-two-worker`.
const DOUBLE: Task<(u64,), u64> = Task::new("crash.double").queue("crash");
const TASKS: u64 = 1000;

fn start_worker(fixture: &Fixture) -> Process {
    let env = [
        ("IVY_QUEUE_URL".to_owned(), fixture.ironmq.url()),
        ("IVY_NOTIFIER_URL".to_owned(), fixture.redis.url()),
    ];
    Process::spawn(
        "times-two-worker",
        OsStr::new(env!("CARGO_BIN_EXE_times-two-worker")),
        [""; 0],
        env,
    )
}

#[tokio::test]
async fn no_task_of_a_thousand_is_lost_when_their_worker_is_killed_again_and_again() {
    let fixture = Fixture::plain().await;
    let handles = fixture.ivy().call_many(&DOUBLE, (0..TASKS).map(|n| (n,))).await;
    let client = redis::Client::open(fixture.redis.url()).unwrap();
    let mut journal = client.get_multiplexed_async_connection().await.unwrap();

    for executed_before_the_kill in [100, 400, 700] {
        let mut worker = start_worker(&fixture);
        loop {
            let executed: u64 = journal.scard("executed").await.unwrap();
            if executed >= executed_before_the_kill {
                break;
            }
            assert!(worker.is_running(), "{}", worker.log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(
            fixture.ironmq.size("crash").await > 0,
            "the worker must be killed while it has work"
        );
        worker.kill().await;
    }
    let _last = start_worker(&fixture);

    // A result that a killed process was publishing is lost; its task is not.
    let mut without_result = BTreeSet::new();
    fixture.until_size("crash", 0).await;
    for (n, handle) in (0..TASKS).zip(handles) {
        match handle.unwrap().result(Duration::from_secs(2)).await {
            Ok(result) => assert_eq!(result, 2 * n),
            Err(error) if error.kind() == ErrorKind::TimedOut => {
                without_result.insert(n);
            }
            Err(error) => panic!("task {n}: {error}"),
        }
    }
    let executed: BTreeSet<u64> = journal.smembers("executed").await.unwrap();
    assert_eq!(executed, (0..TASKS).collect());
    assert!(
        without_result.len() <= 3 * 10,
        "only what ran when the worker crashed may lack a result: {without_result:?}"
    );
    fixture.until_size("crash.dead", 0).await;
}
