//! Messages sent to Redis without waiting for results.

use std::time::Instant;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use ivy_proto::task::Task;

use crate::load::{Load, Step};
use crate::runtime;
use crate::server::Server;
use crate::wire::{QUEUE, TASK, Wire};

use super::bare::{self, BATCH};

const SEND: Task<(u64,), ()> = Task::new(TASK).queue(QUEUE);
/// How many are sent in one step.
const MANY: usize = 10_000;
const POSTS_IN_FLIGHT: usize = 8;
const CALLERS: u64 = 64;
/// How often each caller sends in one step.
const EACH: u64 = 150;

/// Calls that are passed together.
pub(super) fn ivy_many() -> Load {
    let redis = Server::redis();
    let runtime = runtime();
    let ivy = connect(&runtime, &redis);
    let step = move || {
        let calls = (0..MANY as u64).map(|n| (n,));
        let sent = runtime.block_on(ivy.call_many(&SEND, calls));
        assert!(sent.iter().all(Result::is_ok), "the server accepts everything");
        MANY as u64
    };
    with_empty_queue(redis, step)
}

/// Callers that send again when they have sent.
pub(super) fn ivy_callers() -> Load {
    let redis = Server::redis();
    let runtime = runtime();
    let ivy = connect(&runtime, &redis);
    let step = move || {
        let caller = async |_| {
            for n in 0..EACH {
                ivy.send(&SEND, (n,)).await.expect("it is accepted");
            }
        };
        runtime.block_on(join_all((0..CALLERS).map(caller)));
        CALLERS * EACH
    };
    with_empty_queue(redis, step)
}

/// The same messages in full requests, of which eight are under way.
pub(super) fn baseline() -> Load {
    let redis = Server::redis();
    let runtime = runtime();
    let client = redis::Client::open(redis.redis_url()).expect("a valid address");
    let connection = client.get_multiplexed_async_connection();
    let connection = runtime.block_on(connection).expect("Redis listens");
    let wire = Wire::new();
    let step = move || {
        let posts = stream::iter(0..MANY / BATCH).map(|_| {
            let elements: Vec<_> = (0..BATCH).map(|_| bare::element(&wire.message())).collect();
            let mut connection = connection.clone();
            async move {
                bare::post(elements).exec_async(&mut connection).await.expect("Redis replies");
            }
        });
        runtime.block_on(posts.buffer_unordered(POSTS_IN_FLIGHT).count());
        MANY as u64
    };
    with_empty_queue(redis, step)
}

/// A load whose queue is emptied before each step, which is not measured.
fn with_empty_queue(redis: Server, mut step: impl FnMut() -> u64 + 'static) -> Load {
    let client = redis::Client::open(redis.redis_url()).expect("a valid address");
    let mut connection = client.get_connection().expect("Redis listens");
    let step = move || {
        bare::clear().exec(&mut connection).expect("Redis replies");
        let started = Instant::now();
        let operations = step();
        Step { operations, took: started.elapsed() }
    };
    Load { servers: vec![redis], ..Load::timed(step) }
}

fn connect(runtime: &tokio::runtime::Runtime, redis: &Server) -> ivy_tokio::Ivy {
    let _inside = runtime.enter();
    let ivy = ivy_tokio::Ivy::builder().queue_url(&redis.redis_url()).build();
    ivy.expect("a valid address")
}
