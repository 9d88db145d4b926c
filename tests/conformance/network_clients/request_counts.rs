//! The number of requests that ivy sends, counted at a real `ivy serve`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use ivy_proto::task::{Task, TaskError};
use ivy_test_kit::{FaultyProxy, IvyServer, RequestKind};
use ivy_tokio::Ivy;

const MESSAGES: u64 = 10_000;
const QUEUE: &str = "counted";
const COUNT: Task<(u64,), ()> = Task::new("count").queue(QUEUE);
/// Only a broken worker takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Stops ivy's clock while it exists, so that no count depends on the host's speed.
struct StoppedClock {
    _end: mpsc::Sender<()>,
}

impl StoppedClock {
    fn stop() -> Self {
        let (end, ended) = mpsc::channel();
        tokio::time::pause();
        // While blocking work runs, tokio does not advance its paused clock.
        tokio::task::spawn_blocking(move || ended.recv());
        StoppedClock { _end: end }
    }
}

#[tokio::test]
async fn ten_thousand_single_calls_are_posted_and_processed_in_full_requests() {
    let server = IvyServer::start().await;
    let proxy = FaultyProxy::start(server.port()).await;
    let _stopped = StoppedClock::stop();
    let ivy = Ivy::connect(&server.url_at(proxy.port())).unwrap();

    let sent = join_all((0..MESSAGES).map(|n| ivy.send(&COUNT, (n,)))).await;
    assert!(sent.iter().all(Result::is_ok), "{:?}", sent.iter().find(|sent| sent.is_err()));
    let posts = proxy.seen(RequestKind::Post);
    assert!(posts <= 105, "{posts} posts");

    let handler = async |_: u64| -> Result<(), TaskError> { Ok(()) };
    let worker = ivy.worker().register(&COUNT, handler).concurrency(100);
    let _worker = worker.start().await.unwrap();
    // It starts at an instant that tokio rounds up to the next millisecond.
    tokio::time::advance(Duration::from_millis(2)).await;
    let started = Instant::now();
    while server.size(QUEUE).await > 0 {
        assert!(started.elapsed() < PATIENCE, "{} messages remain", server.size(QUEUE).await);
    }
    let (reserves, deletes) = (proxy.seen(RequestKind::Reserve), proxy.seen(RequestKind::Delete));
    assert!(reserves + deletes <= 210, "{reserves} reserves and {deletes} deletes");
}
