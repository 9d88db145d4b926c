//! The way of a result from its publication to its caller, over Redis, by ivy and by its client
//! alone.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::join;

use crate::calls::{AsyncStd, Executor, MEMORY, Urls, program};
use crate::load::{Load, Step};
use crate::runtime;
use crate::server::Server;
use crate::wire::Wire;

const CHANNEL: &str = "results";

/// With the queue in memory, from the end of the handler.
pub(crate) fn ivy(adapter: &str) -> Option<Load> {
    let (redis, ended) = (Server::redis(), LastEnd::default());
    let urls = Urls { notifier: Some(&redis.redis_url()), ..MEMORY };
    let ends = ended.clone();
    let mut call = program(adapter, urls, 10, move |n| {
        ends.now();
        n * 2
    })?;
    Some(load(redis, move || {
        call(1);
        ended.step()
    }))
}

/// From before `PUBLISH` until the notice is received.
pub(crate) fn baseline(adapter: &str) -> Option<Load> {
    match adapter {
        "tokio" => Some(client_of_futures(runtime())),
        "async-std" => Some(client_of_futures(AsyncStd)),
        "blocking" => Some(blocking_client()),
        _ => None,
    }
}

/// When the last handler ended.
#[derive(Clone, Default)]
struct LastEnd(Arc<Mutex<Option<Instant>>>);

impl LastEnd {
    fn now(&self) {
        *self.0.lock().expect("no holder of the lock panics") = Some(Instant::now());
    }

    fn step(&self) -> Step {
        let ended =
            self.0.lock().expect("no holder of the lock panics").take().expect("a handler has run");
        Step { operations: 1, took: ended.elapsed() }
    }
}

fn load(redis: Server, step: impl FnMut() -> Step + 'static) -> Load {
    Load { servers: vec![redis], ..Load::timed(step) }
}

fn notice(wire: &Wire) -> String {
    wire.work(&wire.message())
}

fn publish(notice: String) -> redis::Cmd {
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(CHANNEL).arg(notice);
    publish
}

fn client_of_futures(executor: impl Executor) -> Load {
    let (redis, wire) = (Server::redis(), Wire::new());
    let client = redis::Client::open(redis.redis_url()).expect("a valid address");
    let (mut connection, mut notices) = executor.block_on(async {
        let mut subscriber = client.get_async_pubsub().await.expect("Redis listens");
        subscriber.subscribe(CHANNEL).await.expect("Redis subscribes");
        let connection = client.get_multiplexed_async_connection().await;
        (connection.expect("Redis listens"), subscriber.into_on_message())
    });
    load(redis, move || {
        let publish = publish(notice(&wire));
        let started = Instant::now();
        executor.block_on(async {
            let publishing = async {
                let _: u64 = publish.query_async(&mut connection).await.expect("Redis publishes");
            };
            let receiving = async {
                let notice = notices.next().await.expect("a message");
                wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
                started.elapsed()
            };
            let ((), took) = join(publishing, receiving).await;
            Step { operations: 1, took }
        })
    })
}

fn blocking_client() -> Load {
    let (redis, wire) = (Server::redis(), Wire::new());
    let client = redis::Client::open(redis.redis_url()).expect("a valid address");
    let mut connection = client.get_connection().expect("Redis listens");
    let mut subscription = client.get_connection().expect("Redis listens");
    let (sender, notices) = mpsc::channel();
    std::thread::spawn(move || {
        let wire = Wire::new();
        let mut subscriber = subscription.as_pubsub();
        subscriber.subscribe(CHANNEL).expect("Redis subscribes");
        while sender.send(Instant::now()).is_ok() {
            // If the server has disconnected, the run has ended.
            let Ok(notice) = subscriber.get_message() else { return };
            wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
        }
    });
    notices.recv().expect("the thread subscribes");
    load(redis, move || {
        let publish = publish(notice(&wire));
        let started = Instant::now();
        let _: u64 = publish.query(&mut connection).expect("Redis publishes");
        let received = notices.recv().expect("the thread receives");
        Step { operations: 1, took: received - started }
    })
}
