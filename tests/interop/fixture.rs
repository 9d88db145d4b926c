//! Servers and peers of one interop test.

use std::time::Duration;

use ivy_test_kit::{IvyServer, PATIENCE, Process, RedisServer, node_script};
use ivy_tokio::crypto::{Encryption, KeyId, KeySecret, Keyring, Keyset, Policy};
use ivy_tokio::{Event, Events, Ivy, IvyBuilder, Secret};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The servers of one test, and methods that start peers on them.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) ironmq: IvyServer,
    pub(crate) redis: RedisServer,
    password: Option<&'static str>,
    /// Whether ivy's frames carry a tag.
    bridging: bool,
    channel: &'static str,
}

impl Fixture {
    /// New servers for a test whose messages are not encrypted.
    pub(crate) async fn plain() -> Self {
        Self::with(&[]).await
    }

    /// New servers for a test whose messages are encrypted.
    pub(crate) async fn encrypted() -> Self {
        Fixture { password: Some("correct horse battery staple"), ..Self::plain().await }
    }

    /// As [`encrypted`](Fixture::encrypted); ivy sends bridge frames and accepts those of the
    /// Node package.
    pub(crate) async fn bridging() -> Self {
        Fixture { bridging: true, ..Self::encrypted().await }
    }

    /// One of each, for behaviour that must not depend on encryption.
    pub(crate) async fn both() -> [Self; 2] {
        [Self::plain().await, Self::encrypted().await]
    }

    /// As [`plain`](Fixture::plain), with options for `ivy serve`.
    pub(crate) async fn with(options: &[&str]) -> Self {
        Fixture {
            ironmq: IvyServer::start_with(options).await,
            redis: RedisServer::start().await,
            password: None,
            bridging: false,
            channel: "ivy-notifier",
        }
    }

    /// As [`plain`](Fixture::plain), with a Redis that requires a password, and another channel name.
    pub(crate) async fn with_other_notifier() -> Self {
        Fixture {
            redis: RedisServer::start_with_password("wanted").await,
            channel: "other-channel",
            ..Self::plain().await
        }
    }

    /// A new ivy on these servers.
    pub(crate) fn ivy(&self) -> Ivy {
        self.builder().build().expect("the addresses of the fixture are valid")
    }

    /// The configuration of a new ivy on these servers.
    pub(crate) fn builder(&self) -> IvyBuilder {
        let mut builder = Ivy::builder()
            .queue_url(&self.ironmq.url())
            .notifier_url(&self.redis.url())
            .channel(self.channel);
        if let Some(password) = self.password {
            builder = builder.encryption_password(password);
        }
        if let (Some(password), true) = (self.password, self.bridging) {
            let encryption = Encryption::new()
                .with_keyring(Keyring::new(keyset()))
                .with_password(Secret::new(password))
                .with_policy(Policy::bridge_from_legacy());
            builder = builder.encryption(encryption);
        }
        builder
    }

    /// A producer of the Node package that has registered these tasks (name to options) and
    /// receives results.
    pub(crate) async fn node_producer(&self, queue: &str, tasks: Value) -> Process {
        self.node("producer.js", &json!({ "queue": queue, "tasks": tasks })).await
    }

    /// A worker of the Node package that serves these tasks (name to behaviour).
    pub(crate) async fn node_worker(&self, queue: &str, tasks: Value) -> Process {
        self.node("worker.js", &json!({ "queue": queue, "tasks": tasks })).await
    }

    /// The same, with tasks registered without a callback, so that it publishes no results.
    pub(crate) async fn silent_node_worker(&self, queue: &str, tasks: Value) -> Process {
        let names: Vec<&String> = tasks.as_object().expect("names and behaviours").keys().collect();
        self.node("worker.js", &json!({ "queue": queue, "tasks": tasks, "silent": names })).await
    }

    async fn node(&self, script: &str, setup: &Value) -> Process {
        let mut peer = node_script(script)
            .arg(setup)
            .envs(self.ironmq.env())
            .env("REDIS_URL", &self.redis.url())
            .env("IVY_NOTIFICATION_CHANNEL_NAME", self.channel)
            .env("MESSAGES_ENCRYPTION_KEY", self.password.unwrap_or_default())
            // The Node package polls once a second by default.
            .env("IRONMQ_CONSUME_INTERVAL", "20")
            .start();
        peer.event("ready").await;
        peer
    }

    /// Waits until a queue contains this many messages.
    pub(crate) async fn until_size(&self, queue: &str, size: u64) {
        let waited = async {
            while self.ironmq.size(queue).await != size {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waited).await.is_err() {
            panic!("queue {queue} holds {} messages and not {size}", self.ironmq.size(queue).await);
        }
    }
}

/// The encryption keys of ivy.
pub(crate) fn keyset() -> Keyset {
    let secret = KeySecret::new(Zeroizing::new((1..=32).collect())).expect("a secret");
    Keyset::new(KeyId::new("k1").expect("an id"), secret)
}

/// Calls a task of a Node producer. Returns when the queue has accepted it.
pub(crate) async fn node_call(producer: &mut Process, name: &str, args: Value) {
    producer.send(&json!({ "do": "call", "name": name, "args": args })).await;
    producer.event("sent").await;
}

/// Checks that a Node peer is up and still accepts commands.
pub(crate) async fn assert_alive(peer: &mut Process) {
    peer.send(&json!({ "do": "ping" })).await;
    peer.event("pong").await;
}

/// Waits for an event of ivy that this function selects.
pub(crate) async fn until<T>(events: &mut Events, pick: impl Fn(&Event) -> Option<T>) -> T {
    let mut seen = Vec::new();
    let waited = async {
        loop {
            let event = events.next().await.expect("ivy runs");
            if let Some(found) = pick(&event) {
                return found;
            }
            seen.push(event);
        }
    };
    match tokio::time::timeout(PATIENCE, waited).await {
        Ok(found) => found,
        Err(_) => panic!("the expected event did not arrive; seen: {seen:#?}"),
    }
}

/// Texts with characters of two, three and four bytes at each position in a cipher's block of
/// sixteen, so that each of them straddles two blocks in some text, including the last two blocks.
pub(crate) fn texts_across_blocks() -> impl Iterator<Item = String> {
    (0..16).map(|shift| format!("{}žluťoučký 馬 🐴", "x".repeat(shift)))
}
