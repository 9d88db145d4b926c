//! Tasks that do nothing, with results that are published: reserved and deleted by the hundred.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ivy_proto::task::{Task, TaskError};
use redis::Pipeline;
use redis::aio::MultiplexedConnection;

use crate::count::Count;
use crate::load::{Load, Step};
use crate::runtime;
use crate::server::Server;
use crate::wire::{QUEUE, TASK, Wire};

use super::bare::{self, BATCH, Reserver, delete};
use super::filled::{Filled, WAITING};

const DOUBLE: Task<(u64,), u64> = Task::new(TASK).queue(QUEUE);
const LOOPS: u8 = 4;

/// A worker of this many slots.
pub(super) fn ivy(concurrency: usize) -> Load {
    let redis = Server::redis();
    let mut filled = Filled::new(&redis);
    let runtime = runtime();
    let count = Arc::new(Count::default());
    let counting = Arc::clone(&count);
    let handler = move |n: u64| {
        counting.increment();
        async move { Ok::<u64, TaskError>(n * 2) }
    };
    let worker = {
        let _inside = runtime.enter();
        let ivy = ivy_tokio::Ivy::builder().queue_url(&redis.redis_url()).build();
        let ivy = ivy.expect("a valid address");
        ivy.worker().register(&DOUBLE, handler).concurrency(concurrency)
    };
    let worker = runtime.block_on(worker.start()).expect("a valid worker");
    worker.pause();
    let step = move || {
        filled.fill();
        let started = Instant::now();
        worker.resume();
        runtime.block_on(count.wait_for_more(WAITING as u64));
        let took = started.elapsed();
        runtime.block_on(async {
            while filled.is_reserved() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        worker.pause();
        Step { operations: WAITING as u64, took }
    };
    Load { servers: vec![redis], ..Load::timed(step) }
}

/// Four loops that each reserve a hundred, read them, write and publish their results, and delete them.
pub(super) fn baseline() -> Load {
    let redis = Server::redis();
    let mut filled = Filled::new(&redis);
    let runtime = runtime();
    let client = redis::Client::open(redis.redis_url()).expect("a valid address");
    let (connection, script) = runtime.block_on(async {
        let connection = client.get_multiplexed_async_connection().await;
        let mut connection = connection.expect("Redis listens");
        let script = Reserver::load().query_async::<String>(&mut connection).await;
        (connection, script.expect("Redis replies"))
    });
    let mut loops: Vec<_> = (0..LOOPS).map(|n| Reserver::new(script.clone(), n)).collect();
    let wire = Wire::new();
    let step = move || {
        filled.fill();
        let started = Instant::now();
        let workers = loops.iter_mut().map(|reserver| work(reserver, &wire, connection.clone()));
        let done: usize = runtime.block_on(join_all(workers)).into_iter().sum();
        assert_eq!(done, WAITING, "all messages were there");
        Step { operations: WAITING as u64, took: started.elapsed() }
    };
    Load { servers: vec![redis], ..Load::timed(step) }
}

/// Works until the queue is empty. Returns how many messages that were.
async fn work(
    reserver: &mut Reserver,
    wire: &Wire,
    mut connection: MultiplexedConnection,
) -> usize {
    let mut done = 0;
    loop {
        let (reserve_id, reserve) = reserver.reserve(BATCH);
        let messages: Vec<Vec<u8>> =
            reserve.query_async(&mut connection).await.expect("Redis replies");
        if messages.is_empty() {
            return done;
        }
        let mut pipeline = Pipeline::new();
        for message in &messages {
            let notice = wire.work(bare::body(message));
            pipeline.cmd("PUBLISH").arg("ivy.r.AAAAAAAAAAAAAAAAAAAAAA").arg(notice).ignore();
        }
        delete(&mut pipeline, &reserve_id, messages.len());
        pipeline.exec_async(&mut connection).await.expect("Redis replies");
        done += messages.len();
    }
}
