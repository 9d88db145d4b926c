//! The backends that the cases run against.

use std::sync::{Arc, OnceLock};

use ivy_proto::backend::{Notifier, Queue};
use ivy_test_kit::{IvyServer, RedisServer};
use ivy_tokio::{Ivy, IvyBuilder};
use tokio::runtime::Runtime;

use crate::late_receipts::LateReceipts;

#[path = "../../ivy-tokio/examples/custom_queue.rs"]
#[allow(dead_code, unreachable_pub, reason = "an example has a `main`, and is a crate of its own")]
mod custom_queue;

/// A backend.
pub(crate) struct Backend<B: ?Sized> {
    pub(crate) name: &'static str,
    /// Whether it is in this process, so that time can be paused.
    pub(crate) in_virtual_time: bool,
    /// Whether its server is installed.
    pub(crate) is_installed: fn() -> bool,
    pub(crate) open: fn(&Servers) -> Arc<B>,
}

/// The servers that all cases share, each started when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    ironmq: OnceLock<IvyServer>,
    redis: OnceLock<RedisServer>,
    valkey: OnceLock<RedisServer>,
}

impl Servers {
    fn ironmq(&self) -> &IvyServer {
        self.ironmq.get_or_init(|| wait(IvyServer::start()))
    }

    fn redis(&self) -> &RedisServer {
        self.redis.get_or_init(|| wait(RedisServer::start()))
    }

    fn valkey(&self) -> &RedisServer {
        let start = || wait(RedisServer::start_valkey()).expect("Valkey is installed");
        self.valkey.get_or_init(start)
    }
}

pub(crate) fn queues() -> [Backend<dyn Queue>; 6] {
    [
        Backend {
            name: "memory",
            in_virtual_time: true,
            is_installed: always,
            open: |_| ivy(Ivy::builder().queue_url("memory://")).queue(),
        },
        Backend {
            name: "late_receipts",
            in_virtual_time: true,
            is_installed: always,
            open: |_| {
                let memory = ivy(Ivy::builder().queue_url("memory://")).queue();
                ivy(Ivy::builder().queue(LateReceipts::new(memory))).queue()
            },
        },
        Backend {
            name: "custom_queue",
            in_virtual_time: true,
            is_installed: always,
            open: |_| ivy(Ivy::builder().queue(custom_queue::ListQueue::default())).queue(),
        },
        Backend {
            name: "ironmq",
            in_virtual_time: false,
            is_installed: always,
            open: |servers| ivy(Ivy::builder().queue_url(&servers.ironmq().url())).queue(),
        },
        Backend {
            name: "redis",
            in_virtual_time: false,
            is_installed: always,
            open: |servers| ivy(Ivy::builder().queue_url(&servers.redis().url())).queue(),
        },
        Backend {
            name: "valkey",
            in_virtual_time: false,
            is_installed: RedisServer::has_valkey,
            open: |servers| ivy(Ivy::builder().queue_url(&servers.valkey().url())).queue(),
        },
    ]
}

pub(crate) fn notifiers() -> [Backend<dyn Notifier>; 3] {
    [
        Backend {
            name: "memory",
            in_virtual_time: true,
            is_installed: always,
            open: |_| notifier("memory://"),
        },
        Backend {
            name: "redis",
            in_virtual_time: false,
            is_installed: always,
            open: |servers| notifier(&servers.redis().url()),
        },
        Backend {
            name: "valkey",
            in_virtual_time: false,
            is_installed: RedisServer::has_valkey,
            open: |servers| notifier(&servers.valkey().url()),
        },
    ]
}

fn always() -> bool {
    true
}

fn notifier(url: &str) -> Arc<dyn Notifier> {
    ivy(Ivy::builder().queue_url("memory://").notifier_url(url))
        .notifier()
        .expect("a notifier is configured")
}

fn ivy(builder: IvyBuilder) -> Ivy {
    builder.build().unwrap()
}

/// The runtime that reads the output of the servers.
fn wait<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap()).block_on(future)
}
