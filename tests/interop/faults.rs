//! A queue server that refuses requests, and loses responses to work that it has done.

use std::time::Duration;

use ivy_test_kit::PATIENCE;
use ivy_tokio::{Task, TaskError};

use crate::fixture::Fixture;

const DOUBLE: Task<(u64,), u64> = Task::new("number.double").queue("numbers");

async fn double(n: u64) -> Result<u64, TaskError> {
    Ok(2 * n)
}

#[tokio::test]
async fn every_call_gets_its_result_from_a_server_that_fails_one_request_in_five() {
    let faults = [
        "--fault",
        "status=503,chance=0.1",
        "--fault",
        "drop-reply,chance=0.1",
        "--fault-seed",
        "7",
    ];
    let fixture = Fixture::with(&faults).await;
    let ivy = fixture.ivy();
    // Messages reserved by a lost response are delivered again after the lease.
    let worker = ivy.worker().register(&DOUBLE, double).lease(Duration::from_secs(2));
    let _worker = worker.start().await.unwrap();
    for handle in ivy.call_many(&DOUBLE, (0..100).map(|n| (n,))).await {
        handle.unwrap().result(PATIENCE).await.unwrap();
    }
}
