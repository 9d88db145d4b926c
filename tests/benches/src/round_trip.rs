//! One call and its result, over `ivy serve` and Redis. By ivy, and by the clients under it.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use ivy_proto::task::{Task, TaskError};
use serde::Deserialize;

use crate::load::Load;
use crate::server::{PROJECT, Server, TOKEN};
use crate::wire::{QUEUE, TASK, Wire};

const DOUBLE: Task<(u64,), u64> = Task::new(TASK).queue(QUEUE);
const CHANNEL: &str = "results";

/// A producer and a worker of `ivy-tokio`.
pub(crate) fn ivy() -> Load {
    let (queue, redis) = (Server::ivy(), Server::redis());
    let runtime = runtime();
    let ivy = runtime.block_on(async {
        ivy_tokio::Ivy::builder()
            .queue_url(&format!("ironmq+http://{TOKEN}@127.0.0.1:{}/{PROJECT}", queue.port()))
            .notifier_url(&format!("redis://127.0.0.1:{}", redis.port()))
            .build()
    });
    let ivy = ivy.expect("good addresses");
    let handler = async |n: u64| -> Result<u64, TaskError> { Ok(n * 2) };
    let worker = ivy.worker().register(&DOUBLE, handler).concurrency(10);
    let worker = runtime.block_on(worker.start()).expect("a good worker");
    let step = move || {
        let _ = &worker;
        runtime.block_on(async {
            let handle = ivy.call(&DOUBLE, (5,)).await.expect("it is accepted");
            let result = handle.result(Duration::from_secs(60)).await;
            black_box(result.expect("a result"));
        });
        1
    };
    Load { servers: vec![queue, redis], ..Load::of(step) }
}

/// The same exchanges by the clients alone: a post, the answer to a long poll, a publication, and
/// the message that the subscriber hears. Nothing is deleted.
pub(crate) fn limit() -> Load {
    let (queue, redis) = (Server::ivy(), Server::redis());
    let runtime = runtime();
    let http = Http::new(queue.port());
    let redis_client = redis::Client::open(format!("redis://127.0.0.1:{}", redis.port()));
    let redis_client = redis_client.expect("a good address");
    let mut heard = runtime.block_on(async {
        let mut subscriber = redis_client.get_async_pubsub().await.expect("Redis listens");
        subscriber.subscribe(CHANNEL).await.expect("Redis subscribes");
        let connection = redis_client.get_multiplexed_async_connection().await;
        tokio::spawn(work(http.clone(), connection.expect("Redis listens")));
        subscriber.into_on_message()
    });
    let wire = Wire::new();
    let step = move || {
        runtime.block_on(async {
            let body = serde_json::to_string(&wire.message()).expect("a text");
            let post = format!("{{\"messages\":[{{\"body\":{body}}}]}}");
            black_box(http.ask("messages", post).await);
            let notice = heard.next().await.expect("a message");
            wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
        });
        1
    };
    Load { servers: vec![queue, redis], ..Load::of(step) }
}

async fn work(http: Http, mut redis: redis::aio::MultiplexedConnection) {
    let wire = Wire::new();
    // The first post creates the queue.
    tokio::time::sleep(Duration::from_millis(50)).await;
    loop {
        let answer = http.ask("reservations", r#"{"n":1,"timeout":60,"wait":30}"#.to_owned()).await;
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

#[derive(Clone)]
struct Http {
    client: Client<HttpConnector, Full<Bytes>>,
    queue: String,
}

impl Http {
    fn new(port: u16) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let queue = format!("http://127.0.0.1:{port}/3/projects/{PROJECT}/queues/{QUEUE}");
        Http { client, queue }
    }

    async fn ask(&self, of: &str, body: String) -> Bytes {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}/{of}", self.queue))
            .header("authorization", format!("OAuth {TOKEN}"))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .expect("a good request");
        let answer = self.client.request(request).await.expect("the server answers");
        answer.into_body().collect().await.expect("a whole answer").to_bytes()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
