//! Calls and their results, over `ivy serve` and Redis. By ivy, and by the clients under it.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::Deserialize;

use crate::calls::{Urls, program};
use crate::http::{BlockingHttp, Http};
use crate::load::Load;
use crate::runtime;
use crate::server::Server;
use crate::wire::{QUEUE, Wire};

const CHANNEL: &str = "results";
const RESERVE: &str = r#"{"n":1,"timeout":60,"wait":30}"#;

/// A producer and a worker of this adapter, so many calls at a time.
pub(crate) fn ivy(adapter: &str, calls: u64) -> Option<Load> {
    let (queue, redis) = (Server::ivy(), Server::redis());
    let urls = Urls { queue: &queue.ironmq_url(), notifier: Some(&redis.redis_url()) };
    let concurrency = if calls == 1 { 10 } else { 100 };
    let mut call = program(adapter, urls, concurrency, |n| n * 2)?;
    let step = move || {
        call(calls);
        calls
    };
    Some(Load { servers: vec![queue, redis], ..Load::of(step) })
}

/// The exchanges of one call by the clients alone: a post, the answer to a long poll, a publication, and
/// the message that the subscriber hears. Nothing is deleted.
pub(crate) fn limit(adapter: &str) -> Option<Load> {
    match adapter {
        "tokio" => Some(limit_of_futures()),
        "blocking" => Some(limit_of_threads()),
        _ => None,
    }
}

fn limit_of_futures() -> Load {
    let (queue, redis) = (Server::ivy(), Server::redis());
    let mut trips = Trips::new(&queue, &redis);
    let step = move || {
        trips.one();
        1
    };
    Load { servers: vec![queue, redis], ..Load::of(step) }
}

/// What makes round trips without ivy.
pub(crate) struct Trips {
    runtime: tokio::runtime::Runtime,
    http: Http,
    heard: Pin<Box<dyn Stream<Item = redis::Msg>>>,
    wire: Wire,
}

impl Trips {
    pub(crate) fn new(queue: &Server, redis: &Server) -> Self {
        let runtime = runtime();
        let http = Http::new(queue.port(), QUEUE);
        let redis_client = redis::Client::open(redis.redis_url());
        let redis_client = redis_client.expect("a good address");
        let heard = runtime.block_on(async {
            let mut subscriber = redis_client.get_async_pubsub().await.expect("Redis listens");
            subscriber.subscribe(CHANNEL).await.expect("Redis subscribes");
            let connection = redis_client.get_multiplexed_async_connection().await;
            tokio::spawn(work(http.clone(), connection.expect("Redis listens")));
            Box::pin(subscriber.into_on_message())
        });
        Trips { runtime, http, heard, wire: Wire::new() }
    }

    pub(crate) fn one(&mut self) {
        self.runtime.block_on(async {
            black_box(self.http.post("messages", post(&self.wire)).await);
            let notice = self.heard.next().await.expect("a message");
            self.wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
        });
    }

    /// Lets the worker wait for so long.
    pub(crate) fn pause(&self, length: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(length).await });
    }
}

async fn work(http: Http, mut redis: redis::aio::MultiplexedConnection) {
    let wire = Wire::new();
    // The first post creates the queue.
    tokio::time::sleep(Duration::from_millis(50)).await;
    loop {
        let answer = http.post("reservations", RESERVE.to_owned()).await;
        let Ok(reserved) = serde_json::from_slice::<Reserved<'_>>(&answer) else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        for message in reserved.messages {
            let notice = wire.work(&message.body);
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(CHANNEL).arg(notice);
            let _: u64 = publish.query_async(&mut redis).await.expect("Redis publishes");
        }
    }
}

/// The caller, a worker, and who listens have a thread each.
fn limit_of_threads() -> Load {
    let (queue, redis) = (Server::ivy(), Server::redis());
    let client = redis::Client::open(redis.redis_url()).expect("a good address");
    let mut listening = client.get_connection().expect("Redis listens");
    let (told, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let wire = Wire::new();
        let mut subscriber = listening.as_pubsub();
        subscriber.subscribe(CHANNEL).expect("Redis subscribes");
        while told.send(()).is_ok() {
            // When the servers have gone, the run has ended.
            let Ok(notice) = subscriber.get_message() else { return };
            wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
        }
    });
    heard.recv().expect("the thread subscribes");
    let connection = client.get_connection().expect("Redis listens");
    let http = BlockingHttp::new(queue.port(), QUEUE);
    let wire = Wire::new();
    // The first post creates the queue.
    http.post("messages", &post(&wire)).expect("the server answers");
    let worker = http.clone();
    std::thread::spawn(move || work_in_thread(&worker, connection));
    heard.recv().expect("the thread hears");
    let step = move || {
        http.post("messages", &post(&wire)).expect("the server answers");
        heard.recv().expect("the thread hears");
        1
    };
    Load { servers: vec![queue, redis], ..Load::of(step) }
}

fn work_in_thread(http: &BlockingHttp, mut redis: redis::Connection) {
    let wire = Wire::new();
    // When the servers have gone, the run has ended.
    while let Ok(answer) = http.post("reservations", RESERVE) {
        let reserved: Reserved<'_> = serde_json::from_slice(&answer).expect("reservations");
        for message in reserved.messages {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(CHANNEL).arg(wire.work(&message.body));
            let _: u64 = publish.query(&mut redis).expect("Redis publishes");
        }
    }
}

/// A post of one message.
fn post(wire: &Wire) -> String {
    let body = serde_json::to_string(&wire.message()).expect("a text");
    format!("{{\"messages\":[{{\"body\":{body}}}]}}")
}

#[derive(Deserialize)]
struct Reserved<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    body: std::borrow::Cow<'a, str>,
}
