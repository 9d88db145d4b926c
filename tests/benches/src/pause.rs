//! The first task after a pause: how soon its handler starts. And the first round trip without ivy.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ivy_proto::task::{Task, TaskError};

use crate::round_trip::RoundTrips;
use crate::runtime;
use crate::server::Server;
use crate::wire::{QUEUE, TASK};

const START: Task<(u64,), ()> = Task::new(TASK).queue(QUEUE);
/// The duration of each of this many first round trips without ivy after pauses of this length: the
/// host itself is slower then.
///
/// # Panics
///
/// If the servers do not start.
#[must_use]
pub fn first_trips(pause: Duration, times: usize) -> Vec<Duration> {
    let (queue, redis) = (Server::ivy(), Server::redis());
    let mut trips = RoundTrips::on_tokio(&queue, &redis);
    trips.one();
    let after_pause = |_| {
        trips.pause(pause);
        let started = Instant::now();
        trips.one();
        started.elapsed()
    };
    (0..times).map(after_pause).collect()
}

/// The time from the call to the start of the handler for each of this many first tasks after
/// pauses of this length.
///
/// # Panics
///
/// If the servers do not start.
#[must_use]
pub fn first_tasks(pause: Duration, times: usize) -> Vec<Duration> {
    let (queue, redis, runtime) = (Server::ivy(), Server::redis(), runtime());
    let started = Arc::new(Mutex::new(None));
    let starts = Arc::clone(&started);
    let handler = move |_: u64| {
        *starts.lock().expect("no holder of the lock panics") = Some(Instant::now());
        async { Ok::<(), TaskError>(()) }
    };
    runtime.block_on(async {
        let builder = ivy_tokio::Ivy::builder().queue_url(&queue.ironmq_url());
        let ivy = builder.notifier_url(&redis.redis_url()).build().expect("valid addresses");
        let worker = ivy.worker().register(&START, handler).start().await;
        let _worker = worker.expect("a valid worker");
        let mut took = Vec::new();
        for _ in 0..times {
            tokio::time::sleep(pause).await;
            let called = Instant::now();
            let handle = ivy.call(&START, (1,)).await.expect("the call is accepted");
            handle.result(Duration::from_secs(60)).await.expect("a result");
            let started =
                started.lock().expect("no holder of the lock panics").expect("the handler has run");
            took.push(started - called);
        }
        took
    })
}
