//! Calls and their results, over `ivy serve` and Redis, by ivy and by its clients alone.

use std::hint::black_box;
use std::pin::Pin;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use serde::Deserialize;

use crate::calls::{AsyncStd, Executor, Urls, program};
use crate::http::{AsyncStdConnection, BlockingHttp, Http, SendRequests, TokioClient};
use crate::load::Load;
use crate::runtime;
use crate::server::Server;
use crate::wire::{QUEUE, Wire};

const CHANNEL: &str = "results";
const RESERVE: &str = r#"{"n":1,"timeout":60,"wait":30}"#;

/// A producer and a worker of this adapter, this many calls at a time.
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

/// The exchanges of one call by the clients alone: a post, the response to a long poll, a
/// publication, and the message that the subscriber receives. Nothing is deleted.
pub(crate) fn baseline(adapter: &str) -> Option<Load> {
    match adapter {
        "tokio" => Some(limit_of_futures(RoundTrips::on_tokio)),
        "async-std" => Some(limit_of_futures(RoundTrips::on_async_std)),
        "blocking" => Some(limit_of_threads()),
        _ => None,
    }
}

fn limit_of_futures<E: Executor, C: SendRequests>(
    make: impl FnOnce(&Server, &Server) -> RoundTrips<E, C>,
) -> Load {
    let (queue, redis) = (Server::ivy(), Server::redis());
    let mut trips = make(&queue, &redis);
    let step = move || {
        trips.one();
        1
    };
    Load { servers: vec![queue, redis], ..Load::of(step) }
}

/// Makes round trips without ivy.
pub(crate) struct RoundTrips<E = tokio::runtime::Runtime, C = TokioClient> {
    executor: E,
    http: Http<C>,
    notices: Pin<Box<dyn Stream<Item = redis::Msg>>>,
    wire: Wire,
}

impl RoundTrips {
    pub(crate) fn on_tokio(queue: &Server, redis: &Server) -> Self {
        let http = Http::new(queue.port(), QUEUE);
        RoundTrips::new(runtime(), http.clone(), http, redis)
    }

    /// How long the worker's poll waits.
    pub(crate) fn pause(&self, length: Duration) {
        self.executor.block_on(async { tokio::time::sleep(length).await });
    }
}

impl RoundTrips<AsyncStd, AsyncStdConnection> {
    fn on_async_std(queue: &Server, redis: &Server) -> Self {
        let connect = || AsyncStd.block_on(Http::connect(queue.port(), QUEUE));
        RoundTrips::new(AsyncStd, connect(), connect(), redis)
    }
}

impl<E: Executor, C: SendRequests> RoundTrips<E, C> {
    fn new(executor: E, http: Http<C>, of_worker: Http<C>, redis: &Server) -> Self {
        let wire = Wire::new();
        let client = redis::Client::open(redis.redis_url()).expect("a valid address");
        let (mut notices, publisher) = executor.block_on(async {
            let mut subscriber = client.get_async_pubsub().await.expect("Redis listens");
            subscriber.subscribe(CHANNEL).await.expect("Redis subscribes");
            // The first post creates the queue.
            http.post("messages", post(&wire)).await;
            let publisher = client.get_multiplexed_async_connection().await;
            (Box::pin(subscriber.into_on_message()), publisher.expect("Redis listens"))
        });
        executor.spawn(work(of_worker, publisher));
        executor.block_on(notices.next()).expect("a message");
        RoundTrips { executor, http, notices, wire }
    }

    pub(crate) fn one(&mut self) {
        self.executor.block_on(async {
            black_box(self.http.post("messages", post(&self.wire)).await);
            let notice = self.notices.next().await.expect("a message");
            self.wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
        });
    }
}

async fn work(http: Http<impl SendRequests>, mut redis: redis::aio::MultiplexedConnection) {
    let wire = Wire::new();
    // If the servers have disconnected, the run has ended.
    while let Ok(response) = http.try_post("reservations", RESERVE.to_owned()).await {
        let reserved: Reserved<'_> = serde_json::from_slice(&response).expect("reservations");
        for message in reserved.messages {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(CHANNEL).arg(wire.work(&message.body));
            let _: u64 = publish.query_async(&mut redis).await.expect("Redis publishes");
        }
    }
}

/// The caller, a worker, and the subscriber have a thread each.
fn limit_of_threads() -> Load {
    let (queue, redis) = (Server::ivy(), Server::redis());
    let client = redis::Client::open(redis.redis_url()).expect("a valid address");
    let mut subscription = client.get_connection().expect("Redis listens");
    let (sender, notices) = mpsc::channel();
    std::thread::spawn(move || {
        let wire = Wire::new();
        let mut subscriber = subscription.as_pubsub();
        subscriber.subscribe(CHANNEL).expect("Redis subscribes");
        while sender.send(()).is_ok() {
            // If the servers have disconnected, the run has ended.
            let Ok(notice) = subscriber.get_message() else { return };
            wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
        }
    });
    notices.recv().expect("the thread subscribes");
    let connection = client.get_connection().expect("Redis listens");
    let http = BlockingHttp::new(queue.port(), QUEUE);
    let wire = Wire::new();
    // The first post creates the queue.
    http.post("messages", &post(&wire)).expect("the server responds");
    let worker = http.clone();
    std::thread::spawn(move || work_in_thread(&worker, connection));
    notices.recv().expect("the thread receives");
    let step = move || {
        http.post("messages", &post(&wire)).expect("the server responds");
        notices.recv().expect("the thread receives");
        1
    };
    Load { servers: vec![queue, redis], ..Load::of(step) }
}

fn work_in_thread(http: &BlockingHttp, mut redis: redis::Connection) {
    let wire = Wire::new();
    // If the servers have disconnected, the run has ended.
    while let Ok(response) = http.post("reservations", RESERVE) {
        let reserved: Reserved<'_> = serde_json::from_slice(&response).expect("reservations");
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
