use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{PATIENCE, RedisServer};

/// How the name of a channel ends on which workers publish their presence, which is no notice.
const PRESENCE: &str = ".w";

/// A subscriber of a Redis server's channels: receives what ivy and its peers publish, but no
/// records of presence.
#[derive(Debug)]
pub struct Notices {
    received: mpsc::UnboundedReceiver<Notice>,
}

/// A published message.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The channel it was published to.
    pub channel: String,
    /// Its payload, parsed as JSON; null if it is none.
    pub content: Value,
}

impl Notices {
    /// Subscribes to all channels whose names match a pattern, in which `*` matches any text.
    pub async fn listen(server: &RedisServer, pattern: &str) -> Self {
        let client = redis::Client::open(server.url()).expect("the server's address is valid");
        let mut subscription =
            client.get_async_pubsub().await.expect("the server accepts connections");
        subscription.psubscribe(pattern).await.expect("the server accepts subscriptions");
        let (sender, received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut messages = subscription.on_message();
            while let Some(message) = messages.next().await {
                let channel = message.get_channel_name().to_owned();
                if channel.ends_with(PRESENCE) {
                    continue;
                }
                let content = serde_json::from_slice(message.get_payload_bytes());
                let content = content.unwrap_or_default();
                if sender.send(Notice { channel, content }).is_err() {
                    return;
                }
            }
        });
        Notices { received }
    }

    /// Waits for the next message.
    pub async fn next(&mut self) -> Notice {
        timeout(PATIENCE, self.received.recv())
            .await
            .expect("a notice in time")
            .expect("the server is up")
    }

    /// What was published so far, without waiting for more.
    ///
    /// A message published before this call may still be in flight: first wait for something that
    /// happens after it.
    pub fn take_received(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}
