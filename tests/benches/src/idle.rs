//! The cost of an idle worker.

use std::time::Duration;

use ivy_proto::task::{Task, TaskError};
use tokio::time::sleep;

use crate::cpu::{resident, run_time};
use crate::runtime;
use crate::server::Server;
use crate::wire::{QUEUE, TASK};

const DOUBLE: Task<(u64,), u64> = Task::new(TASK).queue(QUEUE);
/// How long a new worker may take to become idle.
const WARM_UP: Duration = Duration::from_secs(1);

/// The processor time and memory of an idle worker.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// The processor time per second.
    pub per_second: Duration,
    /// The memory, in bytes.
    pub resident: u64,
}

async fn measure(process: &str, time: Duration) -> Idle {
    sleep(WARM_UP).await;
    let before = run_time(process);
    sleep(time).await;
    let ran = run_time(process).saturating_sub(before);
    let per_second = ran.div_f64(time.as_secs_f64());
    Idle { per_second, resident: resident(process) }
}

/// A worker of `ivy-tokio` with an empty queue: in `memory`, at `ironmq`, or, for `with-redis`, at
/// IronMQ with Redis as its notifier.
#[must_use]
pub fn worker(backend: &str, time: Duration) -> Option<Idle> {
    let mut servers = Vec::new();
    let builder = ivy_tokio::Ivy::builder();
    let builder = match backend {
        "memory" => builder.queue_url("memory://"),
        "ironmq" | "with-redis" => {
            servers.push(Server::ivy());
            builder.queue_url(&servers[0].ironmq_url())
        }
        _ => return None,
    };
    let builder = if backend == "with-redis" {
        servers.push(Server::redis());
        builder.notifier_url(&servers[1].redis_url())
    } else {
        builder
    };
    Some(runtime().block_on(async {
        let ivy = builder.build().expect("good addresses");
        let handler = async |n: u64| -> Result<u64, TaskError> { Ok(n * 2) };
        let worker = ivy.worker().register(&DOUBLE, handler).start().await;
        let _worker = worker.expect("a valid worker");
        measure("self", time).await
    }))
}
