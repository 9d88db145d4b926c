//! What tasks cost a server: commands, and memory.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use ivy_proto::queue::{Batch, Body, NewMessage, QueueOp, QueueReply};
use ivy_test_kit::{PATIENCE, RedisServer};
use tokio::time::timeout;

use crate::support::{SECOND, TestQueue, queue_name};

/// How many messages a request takes.
const BATCH: usize = 100;
/// 84 bytes.
const BODY: &str =
    r#"{"name":"testpackage.factorial","options":{"retry":true,"maxRetries":10},"args":[5]}"#;

/// Counts the commands that clients send to a server. A script counts as one command.
struct Commands<'a> {
    server: &'a RedisServer,
    lines: Pin<Box<dyn Stream<Item = String>>>,
}

impl<'a> Commands<'a> {
    async fn of(server: &'a RedisServer) -> Self {
        let client = redis::Client::open(server.url()).unwrap();
        let monitor = client.get_async_monitor().await.unwrap();
        Commands { server, lines: Box::pin(monitor.into_on_message()) }
    }

    /// The number of commands since the last call, by name, without those of the tests' own client.
    async fn counted(&mut self) -> BTreeMap<String, usize> {
        self.server.query::<String>(redis::cmd("ECHO").arg("counted")).await;
        let mut counted = BTreeMap::new();
        loop {
            let line = timeout(PATIENCE, self.lines.next()).await.unwrap().unwrap();
            let (from, command) = line.split_once("] ").unwrap();
            let name = command.split('"').nth(1).unwrap().to_uppercase();
            match name.as_str() {
                "ECHO" => return counted,
                "CLIENT" => {}
                _ if from.ends_with(" lua") => {}
                _ => *counted.entry(name).or_default() += 1,
            }
        }
    }
}

fn messages(count: usize) -> Batch<NewMessage> {
    Batch::new(vec![NewMessage { body: Body::new(BODY), delay: Duration::ZERO }; count]).unwrap()
}

#[tokio::test]
async fn a_hundred_messages_take_five_commands() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let mut commands = Commands::of(&server).await;
    let cycle = async || {
        queue
            .execute(QueueOp::Post { queue: queue_name(), messages: messages(BATCH) })
            .await
            .unwrap();
        let reserve = QueueOp::Reserve {
            queue: queue_name(),
            count: BATCH,
            lease: SECOND * 30,
            wait: Duration::ZERO,
        };
        let QueueReply::Reserved(reserved) = queue.execute(reserve).await.unwrap() else {
            panic!()
        };
        assert_eq!(reserved.messages.len(), BATCH);
        let receipts = reserved.messages.into_iter().map(|message| message.receipt).collect();
        let receipts = Batch::new(receipts).unwrap();
        queue.execute(QueueOp::DeleteMany { queue: queue_name(), receipts }).await.unwrap();
    };
    // The first operations also open the connection, check the server and list the queue.
    cycle().await;
    commands.counted().await;
    for _ in 0..10 {
        cycle().await;
    }
    let counted = commands.counted().await;
    assert!(counted.values().sum::<usize>() <= 50, "{counted:?}");
}

#[tokio::test]
async fn a_queued_message_of_84_bytes_takes_at_most_114_bytes() {
    const MESSAGES: u64 = 100_000;
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let used = async || {
        let info: String = server.query(redis::cmd("INFO").arg("memory")).await;
        let field = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        field.unwrap().trim_end().parse::<u64>().unwrap()
    };
    queue.post("first", Duration::ZERO).await.unwrap();
    let before = used().await;
    for _ in 0..MESSAGES / BATCH as u64 {
        queue
            .execute(QueueOp::Post { queue: queue_name(), messages: messages(BATCH) })
            .await
            .unwrap();
    }
    let bytes = (used().await - before) as f64 / MESSAGES as f64;
    assert!(bytes <= 114.0, "{bytes}");
}
