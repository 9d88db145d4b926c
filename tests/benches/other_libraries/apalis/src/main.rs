//! apalis sends tasks to Redis by the hundred, or works them off.
//!
//!     apalis-peer send|work REDIS_URL
//!
//! Does one step for each line that it reads, and prints how many operations that were and how many
//! microseconds they took.

use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use apalis::prelude::{BoxDynError, TaskSink, WorkerBuilder};
use apalis_redis::{Config, RedisStorage};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

const BATCH: usize = 100;
/// More at a time would stop its worker.
const WAITING: u64 = 7_000;
const WARM_UP: Duration = Duration::from_secs(1);

/// What is sent, of 84 bytes as the messages of all peers.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Task {
    name: String,
    options: Options,
    args: Vec<u64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    retry: bool,
    max_retries: u32,
}

fn task() -> Task {
    let options = Options { retry: true, max_retries: 10 };
    Task { name: "testpackage.factorial".to_owned(), options, args: vec![5] }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, what, url] = &args[..] else { panic!("apalis-peer send|work REDIS_URL") };
    let connection = apalis_redis::connect(url.as_str()).await.expect("Redis listens");
    let config = Config::default().batch_size(BATCH);
    let mut storage = RedisStorage::new(connection).with_config(config);
    if what == "send" {
        serve(async || {
            let started = Instant::now();
            send(&mut storage, BATCH).await;
            (BATCH as u64, started.elapsed())
        })
        .await;
    } else {
        work(storage).await;
    }
}

async fn send(storage: &mut RedisStorage<Task>, count: usize) {
    storage.push_bulk(vec![task(); count]).await.expect("Redis accepts them");
}

/// A worker for each step, since one that has nothing to do sleeps for long.
async fn work(mut storage: RedisStorage<Task>) {
    let mut step = 0;
    serve(async || {
        for _ in 0..WAITING as usize / BATCH {
            send(&mut storage, BATCH).await;
        }
        step += 1;
        let (run, all) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
        let (counting, done) = (Arc::clone(&run), Arc::clone(&all));
        let handler = move |task: Task| {
            if counting.fetch_add(1, Ordering::Relaxed) + 1 == WAITING {
                done.notify_one();
            }
            async move { Ok::<u64, BoxDynError>(task.args[0] * 2) }
        };
        let worker = WorkerBuilder::new(format!("worker-{step}"))
            .backend(storage.clone())
            .build(handler);
        let started = Instant::now();
        let stopped = async move {
            all.notified().await;
            Ok::<(), std::io::Error>(())
        };
        worker.run_until(stopped).await.expect("it runs");
        (WAITING, started.elapsed())
    })
    .await;
}

async fn serve(mut step: impl AsyncFnMut() -> (u64, Duration)) {
    let started = Instant::now();
    while started.elapsed() < WARM_UP {
        step().await;
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        line.expect("a line");
        let (operations, took) = step().await;
        println!("{operations} {}", took.as_secs_f64() * 1e6);
    }
}
