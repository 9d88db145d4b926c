use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::{PATIENCE, RedisServer};

/// A listener on the channels of a Redis server: sees what ivy and its peers publish.
#[derive(Debug)]
pub struct Notices {
    received: mpsc::UnboundedReceiver<Notice>,
}

/// A message that was published.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The channel it was published to.
    pub channel: String,
    /// Its text, read as JSON; null if it is none.
    pub content: Value,
}

impl Notices {
    /// Listens to all channels whose names match a pattern, `*` standing for any text.
    pub async fn listen(server: &RedisServer, pattern: &str) -> Self {
        let client = redis::Client::open(server.url()).expect("the server's address is one");
        let mut subscription =
            client.get_async_pubsub().await.expect("the server takes connections");
        subscription.psubscribe(pattern).await.expect("the server takes subscriptions");
        let (sender, received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut messages = subscription.on_message();
            while let Some(message) = messages.next().await {
                let content = serde_json::from_slice(message.get_payload_bytes());
                let content = content.unwrap_or_default();
                if sender
                    .send(Notice { channel: message.get_channel_name().to_owned(), content })
                    .is_err()
                {
                    return;
                }
            }
        });
        Notices { received }
    }

    /// The next message, waited for.
    pub async fn next(&mut self) -> Notice {
        timeout(PATIENCE, self.received.recv())
            .await
            .expect("a notice in time")
            .expect("the server lives")
    }

    /// What was published meanwhile, without waiting for more.
    ///
    /// A message published before this call may still be on its way: wait first for something that
    /// happens after it.
    pub fn so_far(&mut self) -> Vec<Notice> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }
}
