//! Servers in trouble.

use std::time::Duration;

use ivy_proto::queue::{Effect, FaultKind};
use ivy_test_kit::{PATIENCE, RedisServer, Relay};
use tokio::time::{sleep, timeout};

use crate::support::{SECOND, TestQueue, text};

#[tokio::test]
async fn a_full_server_takes_no_messages_and_can_be_emptied() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    for _ in 0..2 {
        queue.post("hello", Duration::ZERO).await.unwrap();
    }
    server.set("maxmemory-policy", "noeviction").await;
    server.set("maxmemory", "1mb").await;
    for delay in [Duration::ZERO, SECOND] {
        let fault = queue.post("hello", delay).await.unwrap_err();
        assert_eq!((fault.kind(), fault.effect()), (FaultKind::Unavailable, Effect::None));
        assert!(fault.to_string().contains("workers"), "{fault}");
    }
    // One that waits is served as well.
    for message in queue.reserve(SECOND).await.unwrap().messages {
        assert_eq!(queue.delete(message.receipt).await, Ok(()));
    }
    assert_eq!(server.size("mail").await, 0);
    assert!(queue.reserve(2 * SECOND).await.unwrap().messages.is_empty());
    server.set("maxmemory", "0").await;
    queue.post("hello", Duration::ZERO).await.unwrap();
}

#[tokio::test]
async fn a_server_that_has_forgotten_its_scripts_is_given_them_again() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let forget = redis::cmd("SCRIPT").arg("FLUSH").take();
    for _ in 0..2 {
        server.query::<()>(&forget).await;
        queue.post("hello", Duration::from_millis(1)).await.unwrap();
        server.query::<()>(&forget).await;
        let reserved = queue.reserve(20 * SECOND).await.unwrap();
        let receipt = reserved.messages[0].receipt.clone();
        assert_eq!(queue.delete(receipt).await, Ok(()));
    }
    // The script of a wait is unknown as well.
    let waiting = async { queue.reserve(20 * SECOND).await.unwrap() };
    let posting = async {
        sleep(Duration::from_millis(300)).await;
        server.query::<()>(&forget).await;
        queue.post("hello", Duration::ZERO).await.unwrap();
    };
    let (reserved, ()) = tokio::join!(waiting, posting);
    assert_eq!(reserved.messages.len(), 1);
}

#[tokio::test]
async fn receipts_of_before_a_restart_match_no_later_message() {
    let mut server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    queue.post("before", Duration::ZERO).await.unwrap();
    let before = queue.only_message().await.receipt;
    server.restart().await;
    let other = TestQueue::at(&server.url());
    other.post("after", Duration::ZERO).await.unwrap();
    let after = other.only_message().await.receipt;
    // The first request finds its connection closed.
    let deleted = async {
        loop {
            match queue.delete(before.clone()).await {
                Err(FaultKind::ReplyLost | FaultKind::Unreachable) => sleep(SECOND / 10).await,
                deleted => return deleted,
            }
        }
    };
    let deleted = timeout(PATIENCE, deleted).await.expect("the server is back");
    assert_eq!(deleted, Err(FaultKind::NoMessage));
    assert_eq!(other.delete(after).await, Ok(()));
}

#[tokio::test]
async fn after_a_failover_the_queue_is_where_its_name_leads() {
    let (old, new) = (RedisServer::start().await, RedisServer::start().await);
    new.replicate(Some(&old)).await;
    let name = Relay::start(old.port()).await;
    let queue = TestQueue::at(&format!("redis://127.0.0.1:{}", name.port()));
    queue.post("one", Duration::ZERO).await.unwrap();
    let replicated = async {
        while new.size("mail").await == 0 {
            sleep(SECOND / 10).await;
        }
    };
    timeout(PATIENCE, replicated).await.expect("the replica follows");
    new.replicate(None).await;
    old.replicate(Some(&new)).await;
    name.forward_to(new.port());
    // The old server refuses it, unless it was asked before what it is.
    if let Err(fault) = queue.post("two", Duration::ZERO).await {
        assert_eq!((fault.kind(), fault.effect()), (FaultKind::Unavailable, Effect::None));
        queue.post("two", Duration::ZERO).await.unwrap();
    }
    let reserved = queue.reserve(SECOND).await.unwrap();
    let texts: Vec<&str> = reserved.messages.iter().map(text).collect();
    assert_eq!(texts, ["one", "two"]);
    assert_eq!(new.size("mail").await, 2);
}
