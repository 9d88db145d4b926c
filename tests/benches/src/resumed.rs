//! The way of a result from its publication to its caller, over Redis. By ivy, and by the client
//! under it.

use std::hint::black_box;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join;
use ivy_proto::task::{Task, TaskError};

use crate::load::{Load, Step};
use crate::runtime;
use crate::server::Server;
use crate::wire::{QUEUE, TASK, Wire};

const DOUBLE: Task<(u64,), u64> = Task::new(TASK).queue(QUEUE);
const CHANNEL: &str = "results";
const PATIENCE: Duration = Duration::from_secs(60);

/// With the queue in memory, from the end of the handler.
pub(crate) fn ivy(adapter: &str) -> Option<Load> {
    match adapter {
        "tokio" => Some(on_tokio()),
        "blocking" => Some(on_blocking()),
        _ => None,
    }
}

/// From before `PUBLISH` until the notice is read.
pub(crate) fn limit(adapter: &str) -> Option<Load> {
    match adapter {
        "tokio" => Some(tokio_client()),
        "blocking" => Some(blocking_client()),
        _ => None,
    }
}

/// When the last handler ended.
#[derive(Clone, Default)]
struct Ended(Arc<Mutex<Option<Instant>>>);

impl Ended {
    fn now(&self) {
        *self.0.lock().expect("nobody panics") = Some(Instant::now());
    }

    fn step(&self) -> Step {
        let ended = self.0.lock().expect("nobody panics").take().expect("a handler has run");
        Step { operations: 1, took: ended.elapsed() }
    }
}

fn load(redis: Server, step: impl FnMut() -> Step + 'static) -> Load {
    Load { step: Box::new(step), servers: vec![redis] }
}

fn on_tokio() -> Load {
    let (redis, runtime, ended) = (Server::redis(), runtime(), Ended::default());
    let ivy = {
        let _inside = runtime.enter();
        let builder = ivy_tokio::Ivy::builder().queue_url("memory://");
        builder.notifier_url(&redis.redis_url()).build().expect("good addresses")
    };
    let ends = ended.clone();
    let handler = move |n: u64| {
        ends.now();
        async move { Ok::<u64, TaskError>(n * 2) }
    };
    let worker = ivy.worker().register(&DOUBLE, handler).concurrency(10);
    let worker = runtime.block_on(worker.start()).expect("a good worker");
    load(redis, move || {
        let _ = &worker;
        runtime.block_on(async {
            let handle = ivy.call(&DOUBLE, (5,)).await.expect("it is accepted");
            black_box(handle.result(PATIENCE).await.expect("a result"));
        });
        ended.step()
    })
}

fn on_blocking() -> Load {
    let (redis, ended) = (Server::redis(), Ended::default());
    let builder = ivy_blocking::Ivy::builder().queue_url("memory://");
    let ivy = builder.notifier_url(&redis.redis_url()).build().expect("good addresses");
    let ends = ended.clone();
    let handler = move |n: u64| -> Result<u64, TaskError> {
        ends.now();
        Ok(n * 2)
    };
    let worker = ivy.worker().register(&DOUBLE, handler).concurrency(1);
    let worker = worker.start().expect("a good worker");
    load(redis, move || {
        let _ = &worker;
        let handle = ivy.call(&DOUBLE, (5,)).expect("it is accepted");
        black_box(handle.result(PATIENCE).expect("a result"));
        ended.step()
    })
}

fn notice(wire: &Wire) -> String {
    wire.work(&wire.message())
}

fn publish(notice: String) -> redis::Cmd {
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(CHANNEL).arg(notice);
    publish
}

fn tokio_client() -> Load {
    let (redis, runtime, wire) = (Server::redis(), runtime(), Wire::new());
    let client = redis::Client::open(redis.redis_url()).expect("a good address");
    let (mut connection, mut heard) = runtime.block_on(async {
        let mut subscriber = client.get_async_pubsub().await.expect("Redis listens");
        subscriber.subscribe(CHANNEL).await.expect("Redis subscribes");
        let connection = client.get_multiplexed_async_connection().await;
        (connection.expect("Redis listens"), subscriber.into_on_message())
    });
    load(redis, move || {
        let publish = publish(notice(&wire));
        let started = Instant::now();
        runtime.block_on(async {
            let publishing = async {
                let _: u64 = publish.query_async(&mut connection).await.expect("Redis publishes");
            };
            let hearing = async {
                let notice = heard.next().await.expect("a message");
                wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
                started.elapsed()
            };
            let ((), took) = join(publishing, hearing).await;
            Step { operations: 1, took }
        })
    })
}

fn blocking_client() -> Load {
    let (redis, wire) = (Server::redis(), Wire::new());
    let client = redis::Client::open(redis.redis_url()).expect("a good address");
    let mut connection = client.get_connection().expect("Redis listens");
    let mut listening = client.get_connection().expect("Redis listens");
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let wire = Wire::new();
        let mut subscriber = listening.as_pubsub();
        subscriber.subscribe(CHANNEL).expect("Redis subscribes");
        while told.send(Instant::now()).is_ok() {
            // When the server has gone, the run has ended.
            let Ok(notice) = subscriber.get_message() else { return };
            wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
        }
    });
    heard.recv().expect("the thread subscribes");
    load(redis, move || {
        let publish = publish(notice(&wire));
        let started = Instant::now();
        let _: u64 = publish.query(&mut connection).expect("Redis publishes");
        let heard = heard.recv().expect("the thread hears");
        Step { operations: 1, took: heard - started }
    })
}
