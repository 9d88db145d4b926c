//! One call and its result. By ivy, and by the exchanges of bare clients.

use std::pin::Pin;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client};

use crate::calls::{AsyncStd, Executor, Urls, program};
use crate::load::Load;
use crate::runtime;
use crate::server::Server;
use crate::wire::Wire;

use super::bare::{self, Reserver};

/// The messages that a waiting reserve returns.
type Reserved = (Vec<Vec<u8>>,);

const CHANNEL: &str = "results";
const CONCURRENCY: usize = 10;
/// Longer than the wait for a message.
const PATIENCE: Duration = Duration::from_secs(60);

/// A producer and a worker of this adapter.
pub(super) fn ivy(adapter: &str) -> Option<Load> {
    let redis = Server::redis();
    let urls = Urls { queue: &redis.redis_url(), notifier: None };
    let mut call = program(adapter, urls, CONCURRENCY, |n| n * 2)?;
    let step = move || {
        call(1);
        1
    };
    Some(Load { servers: vec![redis], ..Load::of(step) })
}

/// A post, a wait followed by the script, a publication, and the message that the subscriber
/// receives. Nothing is deleted.
pub(super) fn baseline(adapter: &str) -> Option<Load> {
    match adapter {
        "tokio" => Some(limit_of_futures(runtime())),
        "async-std" => Some(limit_of_futures(AsyncStd)),
        "blocking" => Some(limit_of_threads()),
        _ => None,
    }
}

fn limit_of_futures(executor: impl Executor) -> Load {
    let redis = Server::redis();
    let client = open(&redis);
    let (mut notices, mut poster) = executor.block_on(async {
        let mut subscriber = client.get_async_pubsub().await.expect("Redis listens");
        subscriber.subscribe(CHANNEL).await.expect("Redis subscribes");
        let notices: Pin<Box<dyn Stream<Item = redis::Msg>>> =
            Box::pin(subscriber.into_on_message());
        (notices, connect(&client).await)
    });
    let (waiting, publishing) =
        executor.block_on(async { (connect(&client).await, connect(&client).await) });
    executor.spawn(work(waiting, publishing));
    let wire = Wire::new();
    let step = move || {
        executor.block_on(async {
            let element = bare::element(&wire.message());
            bare::post(element).exec_async(&mut poster).await.expect("Redis replies");
            let notice = notices.next().await.expect("a message");
            wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
        });
        1
    };
    Load { servers: vec![redis], ..Load::of(step) }
}

async fn connect(client: &Client) -> MultiplexedConnection {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let connection = client.get_multiplexed_async_connection_with_config(&config).await;
    connection.expect("Redis listens")
}

async fn work(mut waiting: MultiplexedConnection, mut publishing: MultiplexedConnection) {
    let script = Reserver::load().query_async(&mut waiting).await.expect("Redis replies");
    let (mut reserver, wire) = (Reserver::new(script, 0), Wire::new());
    // If the server has disconnected, the run has ended.
    while let Ok((messages,)) = reserver.wait().query_async::<Reserved>(&mut waiting).await {
        for message in messages {
            let notice = wire.work(bare::body(&message));
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(CHANNEL).arg(notice);
            publish.exec_async(&mut publishing).await.expect("Redis publishes");
        }
    }
}

/// The caller, a worker, and the subscriber have a thread each.
fn limit_of_threads() -> Load {
    let redis = Server::redis();
    let client = open(&redis);
    let connect = || client.get_connection().expect("Redis listens");
    let (subscription, waiting, publishing) = (connect(), connect(), connect());
    let (sender, notices) = mpsc::channel();
    std::thread::spawn(move || listen(subscription, &sender));
    notices.recv().expect("the thread subscribes");
    std::thread::spawn(move || work_in_thread(waiting, publishing));
    let (mut poster, wire) = (connect(), Wire::new());
    let step = move || {
        bare::post(bare::element(&wire.message())).exec(&mut poster).expect("Redis replies");
        notices.recv().expect("the thread receives");
        1
    };
    Load { servers: vec![redis], ..Load::of(step) }
}

fn listen(mut connection: redis::Connection, sender: &mpsc::Sender<()>) {
    let wire = Wire::new();
    let mut subscriber = connection.as_pubsub();
    subscriber.subscribe(CHANNEL).expect("Redis subscribes");
    while sender.send(()).is_ok() {
        // If the server has disconnected, the run has ended.
        let Ok(notice) = subscriber.get_message() else { return };
        wire.read(std::str::from_utf8(notice.get_payload_bytes()).expect("a text"));
    }
}

fn work_in_thread(mut waiting: redis::Connection, mut publishing: redis::Connection) {
    let script = Reserver::load().query(&mut waiting).expect("Redis replies");
    let (mut reserver, wire) = (Reserver::new(script, 0), Wire::new());
    // If the server has disconnected, the run has ended.
    while let Ok((messages,)) = reserver.wait().query::<Reserved>(&mut waiting) {
        for message in messages {
            let notice = wire.work(bare::body(&message));
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(CHANNEL).arg(notice).exec(&mut publishing).expect("Redis publishes");
        }
    }
}

fn open(redis: &Server) -> Client {
    Client::open(redis.redis_url()).expect("a valid address")
}
