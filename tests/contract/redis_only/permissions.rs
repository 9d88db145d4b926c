//! Users with limited permissions.

use std::time::Duration;

use futures_util::FutureExt;
use ivy_proto::QueueName;
use ivy_proto::queue::{FaultKind, QueueOp};
use ivy_test_kit::RedisServer;
use tokio::time::sleep;

use crate::support::{SECOND, TestQueue, queue_name};

/// The permissions that the documentation of `ivy-redis` lists for a queue and a notifier.
const DOCUMENTED: &str = include_str!("../../../backends/redis/src/lib.rs");

/// Those permissions, as `ACL SETUSER` takes them, with this password.
fn documented(password: &str) -> Vec<String> {
    let lines = DOCUMENTED.lines().skip_while(|line| !line.contains("ACL SETUSER"));
    let rules = lines.take_while(|line| !line.contains("```"));
    let words = rules.flat_map(|line| line.trim_start_matches("//!").split_whitespace());
    // The name of the command, that of the user, and `on`.
    words.skip(4).map(|word| word.replace("PASSWORD", password)).collect()
}

async fn with_user(rules: &[String]) -> (RedisServer, TestQueue) {
    let server = RedisServer::start().await;
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    server.set_user("ivy", &rules).await;
    let queue = TestQueue::at(&format!("redis://ivy:secret@127.0.0.1:{}", server.port()));
    (server, queue)
}

#[tokio::test]
async fn the_documented_permissions_are_enough_for_every_operation() {
    let (server, queue) = with_user(&documented("secret")).await;
    let (name, lease) = (queue_name(), 30 * SECOND);
    let execute = async |op: QueueOp| queue.execute(op).await.unwrap();
    execute(QueueOp::CreateQueue { queue: name.clone() }).await;
    let message = queue.post("later", Duration::from_millis(1)).await.unwrap();
    queue.post("now", Duration::ZERO).await.unwrap();
    server.query::<u64>(redis::cmd("RPUSH").arg("ivy1:{mail}:r").arg("no message")).await;
    sleep(Duration::from_millis(10)).await;
    let messages = queue.reserve(SECOND).await.unwrap().messages;
    assert_eq!(messages.len(), 2);
    let receipt = messages[0].receipt.clone();
    execute(QueueOp::Touch { queue: name.clone(), receipt, lease }).await;
    let receipt = messages[1].receipt.clone();
    execute(QueueOp::Release { queue: name.clone(), receipt, delay: SECOND, failed: true }).await;
    execute(QueueOp::Get { queue: name.clone(), message }).await;
    execute(QueueOp::Peek { queue: name.clone(), count: 10 }).await;
    execute(QueueOp::GetQueue { queue: name.clone() }).await;
    let list = QueueOp::ListQueues { prefix: "m".to_owned(), after: None, count: 10 };
    execute(list).await;
    let mut waiting = Box::pin(queue.reserve(20 * SECOND));
    assert!((&mut waiting).now_or_never().is_none());
    sleep(Duration::from_millis(300)).await;
    drop(waiting);
    execute(QueueOp::Clear { queue: name.clone() }).await;
    queue.post("again", Duration::ZERO).await.unwrap();
    let receipt = queue.only_message().await.receipt;
    assert_eq!(queue.delete(receipt).await, Ok(()));
    execute(QueueOp::DeleteQueue { queue: name }).await;
    assert_eq!(server.peek("mail.dead").await, ["no message"]);
}

#[tokio::test]
async fn a_missing_permission_is_reported_with_what_to_grant() {
    let mut rules = documented("secret");
    rules.push("-rpush".to_owned());
    let (_server, queue) = with_user(&rules).await;
    let fault = queue.post("hello", Duration::ZERO).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Unauthorized);
    assert!(fault.to_string().contains("rpush") && fault.to_string().contains("grant"), "{fault}");
}

#[tokio::test]
async fn a_server_that_keeps_nothing_on_disk_is_warned_of() {
    use ivy_proto::event::Event;

    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let mut events = queue.ivy.events();
    queue.execute(QueueOp::Clear { queue: QueueName::new("mail").unwrap() }).await.unwrap();
    loop {
        let event = events.next().await.expect("a warning comes");
        if let Event::QueueServerWarning { warning } = event {
            assert!(warning.contains("appendonly"), "{warning}");
            return;
        }
    }
}
