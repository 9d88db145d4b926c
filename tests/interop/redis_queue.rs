//! Peers in Python on a queue on Redis, written from PROTOCOL.md alone, with only a client of Redis.

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_test_kit::{PATIENCE, Process, RedisServer, python_script};
use ivy_tokio::{Ivy, Task, TaskError};
use serde_json::{Value, json};

/// The name has the characters that are escaped in keys.
const QUEUE: &str = "numbers {100%}";
const DOUBLE: Task<(u64,), u64> = Task::new("number.double").queue(QUEUE);

async fn double(n: u64) -> Result<u64, TaskError> {
    Ok(2 * n)
}

fn ivy(server: &RedisServer) -> Ivy {
    Ivy::builder().queue_url(&server.url()).build().expect("the URL is valid")
}

/// How many messages the keys of the queue hold.
async fn size(server: &RedisServer) -> u64 {
    let mut size = 0;
    for (command, part) in [("LLEN", 'r'), ("LLEN", 'p'), ("ZCARD", 'd'), ("HLEN", 'h')] {
        let key = format!("ivy1:{{numbers %7B100%25%7D}}:{part}");
        size += server.query::<u64>(redis::cmd(command).arg(key)).await;
    }
    size
}

async fn until_empty(server: &RedisServer) {
    let empty = async {
        while size(server).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, empty).await.expect("no message is left");
}

async fn worker(server: &RedisServer) -> Process {
    let mut worker = python_script("redis_worker.py").arg(server.url()).arg(QUEUE).start();
    worker.event("ready").await;
    worker
}

#[tokio::test]
async fn a_python_worker_runs_the_tasks_of_an_ivy_and_their_callers_get_the_results() {
    let server = RedisServer::start().await;
    let mut worker = worker(&server).await;
    let ivy = ivy(&server);
    let handles = ivy.call_many(&DOUBLE, (0..200).map(|n| (n,))).await;
    for (n, handle) in (0..).zip(handles) {
        assert_eq!(handle.unwrap().result(PATIENCE).await.unwrap(), 2 * n);
    }
    let mut runs = BTreeMap::new();
    for _ in 0..200 {
        let run = worker.event("ran").await;
        *runs
            .entry((run["number"].as_u64().unwrap(), run["failed"].as_u64().unwrap()))
            .or_insert(0) += 1;
    }
    // Each task once; what failed was released, and its failure counted.
    let expected = (0..200).map(|n| ((n, u64::from(n % 10 == 0)), 1));
    assert_eq!(runs, expected.collect());
    until_empty(&server).await;
    let leases: u64 = server.query(redis::cmd("ZCARD").arg("ivy1:{numbers %7B100%25%7D}:l")).await;
    assert_eq!(leases, 0);
}

#[tokio::test]
async fn a_python_worker_and_an_ivy_worker_share_a_queue() {
    let server = RedisServer::start().await;
    let _theirs = worker(&server).await;
    let _ours = ivy(&server).worker().register(&DOUBLE, double).start().await.unwrap();
    let producer = ivy(&server);
    for handle in producer.call_many(&DOUBLE, (0..500).map(|n| (n,))).await {
        handle.unwrap().result(PATIENCE).await.unwrap();
    }
    until_empty(&server).await;
}

#[tokio::test]
async fn an_ivy_worker_runs_the_tasks_of_a_python_producer_which_gets_the_results() {
    let server = RedisServer::start().await;
    let _worker = ivy(&server).worker().register(&DOUBLE, double).start().await.unwrap();
    let mut producer = python_script("redis_producer.py");
    for arg in [&server.url(), QUEUE, DOUBLE.name(), "3", "4", "5"] {
        producer = producer.arg(arg);
    }
    let lines = producer.start().success().await;
    let mut results: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).expect("an event")).collect();
    results.sort_by_key(|result| result["number"].as_u64());
    let result =
        |n: u64| json!({ "event": "result", "number": n, "outcome": "ok", "result": [2 * n] });
    assert_eq!(results, [result(3), result(4), result(5)]);
    until_empty(&server).await;
}
