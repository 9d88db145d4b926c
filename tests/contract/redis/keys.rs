//! Keys of a queue with any contents, whichever client wrote them.

use std::time::Duration;

use ivy_proto::queue::{FaultKind, QueueOp, QueueReply};
use ivy_test_kit::{PATIENCE, RedisServer};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{SECOND, TestQueue, lost, queue_name, text};

/// Waits until a queue holds so many messages.
async fn until_size(server: &RedisServer, queue: &str, size: u64) {
    let reached = async {
        while server.size(queue).await != size {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, reached).await.expect("the queue comes to hold so many");
}

#[tokio::test]
async fn an_element_that_is_no_message_is_moved_to_the_dead_letter_queue() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let large = "x".repeat((1 << 20) + 1);
    for element in ["hello", &large] {
        server.query::<u64>(redis::cmd("RPUSH").arg("ivy1:{mail}:r").arg(element)).await;
    }
    queue.post("a message", Duration::ZERO).await.unwrap();
    let reserved = queue.reserve(Duration::ZERO).await.unwrap();
    assert_eq!((reserved.messages.len(), reserved.unusable), (1, 2));
    assert_eq!(text(&reserved.messages[0]), "a message");
    until_size(&server, "mail.dead", 2).await;
    let mut dead = server.peek("mail.dead").await;
    dead.sort_by_key(String::len);
    assert_eq!(dead, ["hello".to_owned(), large]);
    assert_eq!(server.size("mail").await, 1);
}

#[tokio::test]
async fn messages_whose_leases_have_vanished_are_put_back() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    for number in ["one", "two", "three"] {
        queue.post(number, Duration::ZERO).await.unwrap();
    }
    let held = queue.reserve(Duration::ZERO).await.unwrap().messages;
    let (receipt, lease) = (held[0].receipt.clone(), 30 * SECOND);
    queue.execute(QueueOp::Touch { queue: queue_name(), receipt, lease }).await.unwrap();
    server.query::<u64>(redis::cmd("DEL").arg("ivy1:{mail}:l")).await;
    // A worker looks for them when it begins.
    let worker = TestQueue::at(&server.url());
    let found = async {
        let mut found = Vec::new();
        while found.len() < 3 {
            found.extend(worker.reserve(SECOND).await.unwrap().messages);
        }
        found
    };
    let found = timeout(PATIENCE, found).await.expect("they come back");
    assert!(found.iter().all(|message| lost(message) == 1));
    assert_eq!(server.size("mail").await, 3);
}

#[tokio::test]
async fn what_a_wait_has_claimed_and_no_script_has_reserved_is_found() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    queue.post("hello", Duration::ZERO).await.unwrap();
    let mut claim = redis::cmd("LMOVE");
    claim.arg("ivy1:{mail}:r").arg("ivy1:{mail}:p").arg("LEFT").arg("RIGHT");
    server.query::<String>(&claim).await;
    assert_eq!(text(&queue.only_message().await), "hello");
}

#[tokio::test]
async fn a_key_of_another_kind_stops_a_queue_and_loses_nothing() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    queue.post("hello", Duration::ZERO).await.unwrap();
    server.query::<()>(redis::cmd("SET").arg("ivy1:{mail}:h").arg("another program's")).await;
    let fault = queue.reserve(Duration::ZERO).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Refused);
    assert!(fault.to_string().contains("?prefix="), "{fault}");
    server.query::<u64>(redis::cmd("DEL").arg("ivy1:{mail}:h")).await;
    assert_eq!(text(&queue.only_message().await), "hello");

    server.query::<()>(redis::cmd("SET").arg("ivy1:{mail}:d").arg("another program's")).await;
    let fault = queue.post("later", SECOND).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::Refused);
}

#[tokio::test]
async fn a_message_that_is_delayed_while_others_wait_comes_when_it_is_due() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let since = Instant::now();
    let waiting = async { queue.reserve(20 * SECOND).await.unwrap() };
    let posting = async {
        sleep(Duration::from_millis(300)).await;
        queue.post("later", SECOND).await.unwrap();
    };
    let (reserved, ()) = tokio::join!(waiting, posting);
    assert_eq!(text(&reserved.messages[0]), "later");
    assert!(since.elapsed() < 15 * SECOND, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_message_is_found_by_its_id_wherever_it_is() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let reserved = queue.post("reserved", Duration::ZERO).await.unwrap();
    queue.only_message().await;
    let delayed = queue.post("delayed", 60 * SECOND).await.unwrap();
    for number in 0..250 {
        queue.post(&number.to_string(), Duration::ZERO).await.unwrap();
    }
    let last = queue.post("last", Duration::ZERO).await.unwrap();
    for message in [reserved, delayed, last] {
        let found =
            queue.execute(QueueOp::Get { queue: queue_name(), message: message.clone() }).await;
        assert!(matches!(found, Ok(QueueReply::Message(found)) if found.id == message));
    }
    let message = ivy_proto::MessageId::new("-nobody-has-posted");
    let fault = queue.execute(QueueOp::Get { queue: queue_name(), message }).await.unwrap_err();
    assert_eq!(fault.kind(), FaultKind::NoMessage);
}
