//! Keys of a queue with any contents, whichever client wrote them.

use std::time::Duration;

use ivy_proto::queue::{Body, FaultKind, QueueOp, QueueReply, ReceivedBody};
use ivy_proto::{MessageId, QueueName};
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
async fn after_the_loss_of_all_data_each_queue_that_receives_a_post_is_listed_again() {
    let server = RedisServer::start().await;
    let producer = TestQueue::at(&server.url());
    let dead = TestQueue::named(&server.url(), "mail.dead");
    let year = Duration::from_secs(365 * 86_400);
    let posts = [(&producer, Duration::ZERO), (&dead, year)];
    for (queue, delay) in posts {
        queue.post("before", delay).await.unwrap();
    }
    server.query::<String>(&redis::cmd("FLUSHALL")).await;
    // The last posts of these processes.
    for (queue, delay) in posts {
        queue.post("after", delay).await.unwrap();
    }
    let listed = async {
        while producer.ivy.admin().list("").await.unwrap().len() < 2 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, listed).await.expect("both queues are listed");
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
async fn a_message_that_is_too_large_for_ivy_is_moved_to_the_dead_letter_queue_once() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let (large, bytes) = ("x".repeat(300_000), vec![0xff; 300_000]);
    for (id, body) in [("large-message-0000", large.as_bytes()), ("bytes-message-0000", &bytes)] {
        let element = [id.as_bytes(), b"0100", body].concat();
        server.query::<u64>(redis::cmd("RPUSH").arg("ivy1:{mail}:r").arg(element)).await;
    }
    let reserved = queue.reserve(Duration::ZERO).await.unwrap();
    assert_eq!((reserved.messages.len(), reserved.unusable), (0, 2));
    until_size(&server, "mail.dead", 2).await;
    let mut dead = queue.reserve_from("mail.dead").await.messages;
    dead.sort_by(|one, other| one.receipt.message.as_bytes().cmp(other.receipt.message.as_bytes()));
    assert_eq!(dead[0].receipt.message.as_bytes(), b"bytes-message-0000");
    assert!(text(&dead[1]) == large);
    assert_eq!(server.size("mail").await, 0);
}

/// Read as text, they would be three times as long.
#[tokio::test]
async fn bytes_that_are_not_a_text_are_a_message_up_to_the_largest_size() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let bytes = vec![0xff; 256 * 1024];
    let element = [b"bytes-message-0000", &b"0100"[..], &bytes].concat();
    server.query::<u64>(redis::cmd("RPUSH").arg("ivy1:{mail}:r").arg(element)).await;
    let message = queue.only_message().await;
    let ReceivedBody::NotText(body) = &message.body else { panic!("{message:?}") };
    assert!(body.as_bytes() == bytes);
}

#[tokio::test]
async fn an_element_of_a_dead_letter_queue_that_is_no_message_is_found_by_its_id() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let dead = QueueName::new("mail.dead").unwrap();
    let push = |element: &str| redis::cmd("RPUSH").arg("ivy1:{mail.dead}:r").arg(element).clone();
    for element in ["world", "hello", "hello"] {
        server.query::<u64>(&push(element)).await;
    }
    let get = async |id: &str| {
        let (queue_name, message) = (dead.clone(), MessageId::new(id));
        match queue.execute(QueueOp::Get { queue: queue_name, message }).await {
            Ok(QueueReply::Message(found)) => Ok((found.id.as_str().to_owned(), found.body)),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => Err(fault.kind()),
        }
    };
    let hello = ReceivedBody::Text(Body::new("hello"));
    for _ in 0..2 {
        let id = "raw-aaf4c61ddcc5e8";
        assert_eq!(get(id).await, Ok((id.to_owned(), hello.clone())));
        // Those who list the elements number equal ones.
        for id in
            ["raw-aaf4c61ddcc5e8.2", "raw-00000000000000", "raw-da39a3ee5e6b4b", "raw-", "hello"]
        {
            assert_eq!(get(id).await, Err(FaultKind::NoMessage), "{id}");
        }
        // The second time, they are reserved.
        queue.reserve_from("mail.dead").await;
    }
}

#[tokio::test]
async fn an_element_of_a_dead_letter_queue_that_is_no_message_is_shown_and_stays() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    server.query::<u64>(redis::cmd("RPUSH").arg("ivy1:{mail.dead}:r").arg("hello")).await;
    for _ in 0..2 {
        let shown = queue.reserve_from("mail.dead").await.messages.remove(0);
        assert_eq!(text(&shown), "hello");
        let receipt = shown.receipt;
        let (delay, failed) = (Duration::ZERO, false);
        let dead = QueueName::new("mail.dead").unwrap();
        let release = QueueOp::Release { queue: dead, receipt, delay, failed };
        queue.execute(release).await.unwrap();
    }
    let stored: Vec<String> =
        server.query(redis::cmd("LRANGE").arg("ivy1:{mail.dead}:r").arg(0).arg(-1)).await;
    assert_eq!(stored, ["hello"]);
    assert_eq!(server.size("mail.dead.dead").await, 0);
}

#[tokio::test]
async fn scores_of_another_program_hide_no_message() {
    let server = RedisServer::start().await;
    let element = "-AbCdEfG01234567890000later";
    for (number, (key, member)) in [("d", element), ("l", "another-program/1")].iter().enumerate() {
        for (place, score) in ["inf", "1e300", "9007199254740993", "-inf"].iter().enumerate() {
            // Each on a queue of its own.
            let name = format!("mail.{number}.{place}");
            let queue = TestQueue::named(&server.url(), &name);
            let add = format!("ivy1:{{{name}}}:{key}");
            server.query::<u64>(redis::cmd("ZADD").arg(add).arg(score).arg(member)).await;
            queue.post("ready", Duration::ZERO).await.unwrap();
            let found = queue.reserve(Duration::ZERO).await.unwrap();
            assert!(found.messages.iter().any(|found| text(found) == "ready"), "{key} {score}");
            let (waited, posted) = tokio::join!(queue.reserve(20 * SECOND), async {
                sleep(Duration::from_millis(50)).await;
                queue.post("later", Duration::ZERO).await
            });
            posted.unwrap();
            assert_eq!(waited.unwrap().messages.len(), 1, "{key} {score}");
        }
    }
}

/// How many scripts a server has run.
async fn scripts_run(server: &RedisServer) -> usize {
    let info: String = server.query(redis::cmd("INFO").arg("commandstats")).await;
    let calls = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0,");
        line.split(',').next().unwrap().parse::<usize>().unwrap()
    };
    calls("cmdstat_evalsha:calls=") + calls("cmdstat_eval:calls=")
}

/// Far fewer than the elements of another program in the tests below.
const FEW_SCRIPTS: usize = 60;

#[tokio::test]
async fn a_message_behind_empty_elements_of_another_program_is_reached_by_few_scripts() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    server.query::<u64>(redis::cmd("RPUSH").arg("ivy1:{mail}:r").arg(vec![""; 3000])).await;
    queue.post("behind", Duration::ZERO).await.unwrap();
    let reserved = queue.reserve(20 * SECOND).await.unwrap();
    assert_eq!(text(&reserved.messages[0]), "behind");
    assert!(scripts_run(&server).await < FEW_SCRIPTS);
}

#[tokio::test]
async fn a_message_behind_leases_of_another_program_is_reached_by_few_scripts() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    let mut leases = redis::cmd("ZADD");
    leases.arg("ivy1:{mail}:l");
    for number in 0..3000 {
        leases.arg(1).arg(format!("other{number}/1"));
    }
    // They have ended earlier than that of the message.
    server.query::<u64>(leases.arg(2).arg("reserved-once-/1")).await;
    let held = ["reserved-once-00", "AbCdEfG012345678900000lost"];
    server.query::<u64>(redis::cmd("HSET").arg("ivy1:{mail}:h").arg(&held)).await;
    let reserved = queue.reserve(20 * SECOND).await.unwrap();
    assert_eq!(text(&reserved.messages[0]), "lost");
    assert!(scripts_run(&server).await < FEW_SCRIPTS);
}

#[tokio::test]
async fn a_dead_letter_queue_that_another_program_uses_loses_no_element() {
    let server = RedisServer::start().await;
    let queue = TestQueue::at(&server.url());
    server.query::<()>(redis::cmd("SET").arg("ivy1:{mail.dead}:r").arg("another program's")).await;
    server.query::<u64>(redis::cmd("RPUSH").arg("ivy1:{mail}:r").arg("hello")).await;
    let mut events = queue.ivy.events();
    assert_eq!(queue.reserve(Duration::ZERO).await.unwrap().unusable, 1);
    let key_is_named = async {
        while let Some(event) = events.next().await {
            if event.to_string().contains("the key ivy1:{mail.dead}:r contains other data") {
                return;
            }
        }
    };
    timeout(PATIENCE, key_is_named).await.expect("the key is named");
    let held: Vec<String> = server.query(redis::cmd("HVALS").arg("ivy1:{mail}:h")).await;
    assert_eq!(held, ["hello"]);
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
    assert_eq!(server.query::<u64>(redis::cmd("ZCARD").arg("ivy1:{mail}:l")).await, 0);
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
