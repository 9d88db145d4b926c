use ivy_tests::{IvyServer, Process, RedisServer, node_script};
use serde_json::{Value, json};

/// The servers of one test, and the way to start peers that meet on them.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) ironmq: IvyServer,
    pub(crate) redis: RedisServer,
    pub(crate) password: Option<&'static str>,
}

impl Stage {
    /// Servers of its own for a test whose messages travel in plain text.
    pub(crate) async fn plain() -> Self {
        Stage {
            ironmq: IvyServer::start().await,
            redis: RedisServer::start().await,
            password: None,
        }
    }

    /// Servers of its own for a test whose messages travel encrypted.
    pub(crate) async fn encrypted() -> Self {
        Stage { password: Some("correct horse battery staple"), ..Stage::plain().await }
    }

    /// A producer on the Node original that has registered these tasks and hears results.
    pub(crate) async fn node_producer(&self, queue: &str, tasks: &[&str]) -> Process {
        let tasks: Vec<Value> = tasks.iter().map(|name| json!({ "name": name })).collect();
        self.node("producer.js", &json!({ "queue": queue, "tasks": tasks })).await
    }

    /// A worker on the Node original that serves these tasks: name to behaviour.
    pub(crate) async fn node_worker(&self, queue: &str, tasks: Value) -> Process {
        self.node("worker.js", &json!({ "queue": queue, "tasks": tasks })).await
    }

    async fn node(&self, script: &str, setup: &Value) -> Process {
        let mut peer = node_script(script)
            .arg(setup)
            .envs(self.ironmq.env())
            .env("REDIS_URL", &self.redis.url())
            .env("MESSAGES_ENCRYPTION_KEY", self.password.unwrap_or_default())
            // The original polls once a second unless told otherwise.
            .env("IRONMQ_CONSUME_INTERVAL", "20")
            .start();
        peer.expect_event("ready").await;
        peer
    }
}

/// The command that makes a Node producer call a task.
pub(crate) fn call(name: &str, args: Value) -> Value {
    json!({ "do": "call", "name": name, "args": args })
}

/// Shows that a Node peer lives and still takes commands.
pub(crate) async fn assert_alive(peer: &mut Process) {
    peer.send(&json!({ "do": "ping" })).await;
    peer.expect_event("pong").await;
}
