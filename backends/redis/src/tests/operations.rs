//! Operations of a queue with immediate replies.

use super::*;

/// The replies to the checks for a user without permission.
pub(super) const UNCHECKED: &str = "-NOPERM no\r\n-NOPERM no\r\n-NOPERM no\r\n";
pub(super) const ID: &str = "-AbCdEfG0123456789";
/// The reply to the first search for messages without a lease.
pub(super) const NOTHING_LOST: &str = "*2\r\n$1\r\n0\r\n:0\r\n";
/// The end of a lease, in ms.
pub(super) const END: &str = "1764421234567";

pub(super) fn mail() -> QueueName {
    QueueName::new("mail").unwrap()
}

/// A session that has executed an operation, on an open connection.
pub(super) fn connected() -> Harness {
    let mut harness = Harness::new();
    harness.execute(0, QueueOp::Clear { queue: mail() });
    harness.accept_publisher();
    harness.receive(&format!("{UNCHECKED}:0\r\n"));
    assert_eq!(harness.last_executed(), &Ok(QueueReply::Cleared));
    harness
}

fn post(text: &str) -> QueueOp {
    let message = NewMessage { body: Body::new(text), delay: Duration::ZERO };
    QueueOp::Post { queue: mail(), messages: Batch::one(message) }
}

fn reserve(count: usize) -> QueueOp {
    let lease = Duration::from_secs(30);
    QueueOp::Reserve { queue: mail(), count, lease, wait: Duration::ZERO }
}

/// The receipts of a reserve of this many messages.
fn reserved(harness: &mut Harness, count: usize) -> Vec<Receipt> {
    harness.execute(1, reserve(count));
    let element = format!("{ID}0000body");
    let mut reply = vec![element.as_str(); count];
    reply.extend([END, "more"]);
    // The first reserve also looks for messages without a lease.
    harness.receive("*2\r\n$1\r\n0\r\n:0\r\n");
    harness.receive(&array(&reply));
    match harness.last_executed() {
        Ok(QueueReply::Reserved(reserved)) => {
            reserved.messages.iter().map(|message| message.receipt.clone()).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_server_is_checked_before_the_first_operation() {
    let mut harness = Harness::new();
    harness.execute(0, QueueOp::Clear { queue: mail() });
    harness.accept_publisher();
    assert!(harness.last_sent().starts_with(&command(&["INFO"])));
    let info = text("redis_version:6.0.16\r\n");
    harness.receive(&format!("{info}*2\r\n$4\r\nsave\r\n$0\r\n\r\n:0\r\n:0\r\n"));
    assert!(
        matches!(&harness.events[..], [Event::QueueServerWarning { warning }] if warning.contains("6.2"))
    );
}

#[test]
fn a_post_is_one_command_and_its_queue_is_listed_once_a_minute() {
    let mut harness = connected();
    harness.execute(1, post("hello"));
    let list = command(&["ZADD", "ivy1:queues", "NX", "0", "mail"]);
    assert!(harness.last_sent().starts_with(&list));
    harness.receive(":1\r\n:1\r\n");
    harness.execute(2, post("hello"));
    assert!(harness.last_sent().starts_with("*3\r\n$5\r\nRPUSH\r\n$13\r\nivy1:{mail}:r\r\n"));
    assert!(harness.last_sent().ends_with("0000hello\r\n"));
    harness.receive(":2\r\n");
    assert!(
        matches!(harness.last_executed(), Ok(QueueReply::Posted(entries)) if entries.len() == 1)
    );
}

#[test]
fn a_queue_whose_list_was_empty_is_listed_again_after_a_second() {
    let mut harness = connected();
    let list = command(&["ZADD", "ivy1:queues", "NX", "0", "mail"]);
    let listed = |harness: &Harness| {
        harness.sent.iter().map(|(_, sent)| sent.matches(&list).count()).sum::<usize>()
    };
    harness.execute(1, post("hello"));
    harness.receive(":1\r\n:1\r\n");
    harness.execute(2, post("hello"));
    harness.receive(":2\r\n");
    harness.pass(Duration::from_millis(500));
    assert_eq!(listed(&harness), 1, "the list was not empty");
    harness.execute(3, post("hello"));
    harness.receive(":1\r\n");
    harness.pass(Duration::from_millis(499));
    assert_eq!(listed(&harness), 1);
    harness.pass(Duration::from_millis(1));
    assert_eq!(listed(&harness), 2);
}

#[test]
fn operations_and_publications_share_one_connection() {
    let mut harness = connected();
    harness.execute(1, post("hello"));
    harness.publish(2, "news");
    assert_eq!(harness.opened.len(), 1);
    harness.receive(":1\r\n:1\r\n:3\r\n");
    assert!(harness.last_executed().is_ok());
    assert_eq!(harness.last_published(), &Ok(3));
}

#[test]
fn a_body_that_is_too_large_is_not_sent() {
    let mut harness = connected();
    let sent = harness.sent.len();
    harness.execute(1, post(&"x".repeat(256 * 1024 + 1)));
    let Ok(QueueReply::Posted(entries)) = harness.last_executed() else { panic!() };
    assert_eq!(entries[0].as_ref().unwrap_err().kind(), FaultKind::TooLarge);
    assert_eq!(harness.sent.len(), sent);
}

#[test]
fn an_unknown_script_is_sent_with_its_source() {
    let mut harness = connected();
    harness.execute(1, reserve(1));
    assert!(harness.last_sent().contains("EVALSHA"));
    harness.receive("*2\r\n$1\r\n0\r\n:0\r\n-NOSCRIPT No matching script.\r\n");
    assert!(harness.last_sent().contains("$4\r\nEVAL\r\n"));
    harness.receive(&array(&[""]));
    assert!(
        matches!(harness.last_executed(), Ok(QueueReply::Reserved(reserved)) if reserved.messages.is_empty())
    );
}

#[test]
fn a_lease_is_deleted_with_the_last_of_its_messages() {
    let mut harness = connected();
    let receipts = reserved(&mut harness, 2);
    let field =
        |receipt: &Receipt| receipt.reservation.as_str().split('@').next().unwrap().to_owned();
    let fields: Vec<String> = receipts.iter().map(field).collect();
    let receipts = Batch::new(receipts).unwrap();
    harness.execute(2, QueueOp::DeleteMany { queue: mail(), receipts });
    let lease = format!("{}/2", &fields[0][..14]);
    let deleted = command(&["HDEL", "ivy1:{mail}:h", &fields[0], &fields[1]]);
    let ended = command(&["ZREM", "ivy1:{mail}:l", &lease]);
    assert_eq!(harness.last_sent(), format!("{deleted}{ended}{}", command(&["TIME"])));
    harness.receive(&format!(":2\r\n:1\r\n{}", array(&["1764421200", "0"])));
    assert_eq!(harness.last_executed(), &Ok(QueueReply::all_deleted(2)));
}

#[test]
fn a_missing_message_was_deleted_or_its_lease_has_ended() {
    for (now, kind) in [("1764421234", FaultKind::NoMessage), ("1764421235", FaultKind::LeaseLost)]
    {
        let mut harness = connected();
        let receipt = reserved(&mut harness, 1).remove(0);
        harness.execute(2, QueueOp::Delete { queue: mail(), receipt });
        harness.receive(&format!(":0\r\n:0\r\n{}", array(&[now, "0"])));
        let Ok(QueueReply::Deleted(entries)) = harness.last_executed() else { panic!() };
        assert_eq!(entries[0].as_ref().unwrap_err().kind(), kind);
    }
}

#[test]
fn a_message_that_two_reservations_may_hold_is_counted_by_itself() {
    let mut harness = connected();
    let receipts = reserved(&mut harness, 2);
    let touch = QueueOp::Touch {
        queue: mail(),
        receipt: receipts[0].clone(),
        lease: Duration::from_secs(30),
    };
    harness.execute(2, touch);
    harness.handle(Input::Cancel(CommandId(2)));
    harness.receive("-ERR a part was done\r\n");
    let receipts = Batch::new(receipts).unwrap();
    harness.execute(3, QueueOp::DeleteMany { queue: mail(), receipts });
    // Both fields of the first were there, and the second one's lease had ended.
    harness.receive(&format!(":0\r\n:2\r\n:1\r\n{}", array(&["1764421235", "0"])));
    let Ok(QueueReply::Deleted(entries)) = harness.last_executed() else { panic!() };
    assert_eq!(entries[0], Ok(()));
    assert_eq!(entries[1].as_ref().unwrap_err().kind(), FaultKind::LeaseLost);
}

#[test]
fn after_a_touch_without_a_reply_a_delete_and_a_release_name_both_reservations() {
    for is_cancelled in [false, true] {
        let mut harness = connected();
        let receipt = reserved(&mut harness, 1).remove(0);
        let lease = Duration::from_secs(30);
        harness.execute(2, QueueOp::Touch { queue: mail(), receipt: receipt.clone(), lease });
        if is_cancelled {
            harness.handle(Input::Cancel(CommandId(2)));
        } else {
            harness.fail(LinkFaultKind::Ended);
            assert_eq!(harness.last_executed().as_ref().unwrap_err().kind(), FaultKind::ReplyLost);
        }
        let queue = mail();
        let release = QueueOp::Release {
            queue: queue.clone(),
            receipt: receipt.clone(),
            delay: Duration::ZERO,
            failed: false,
        };
        harness.execute(3, release);
        harness.execute(4, QueueOp::Delete { queue, receipt: receipt.clone() });
        if !is_cancelled {
            harness.accept_publisher();
        }
        let field = receipt.reservation.as_str().split('@').next().unwrap();
        let next = format!("{field}.1");
        let sent = harness.sent_on(harness.connection_id());
        assert!(sent.contains(&command(&["HDEL", "ivy1:{mail}:h", field, &next])), "{sent}");
        // A release names the lease of each message as well: after a touch it has the name of the
        // message.
        assert!(sent.contains(&text(&next).repeat(2)), "{sent}");
    }
}

#[test]
fn a_touch_with_a_reply_leaves_one_reservation() {
    let mut harness = connected();
    let receipt = reserved(&mut harness, 1).remove(0);
    let lease = Duration::from_secs(30);
    harness.execute(2, QueueOp::Touch { queue: mail(), receipt, lease });
    harness.receive(&text("1764421264567"));
    let Ok(QueueReply::Touched(touched)) = harness.last_executed().clone() else { panic!() };
    harness.execute(3, QueueOp::Delete { queue: mail(), receipt: touched.clone() });
    let field = touched.reservation.as_str().split('@').next().unwrap();
    assert!(field.ends_with(".1"));
    assert!(harness.last_sent().starts_with(&command(&["HDEL", "ivy1:{mail}:h", field])));
}

#[test]
fn the_name_is_resolved_again_after_the_server_has_become_a_replica() {
    let mut harness = connected();
    harness.execute(1, post("hello"));
    harness.receive("-READONLY You can't write\r\n-READONLY You can't write\r\n");
    assert_eq!(harness.last_executed().as_ref().unwrap_err().kind(), FaultKind::Unavailable);
    assert_eq!(harness.closed, harness.opened);
    harness.execute(2, post("hello"));
    assert_eq!(harness.opened.len(), 2);
}

#[test]
fn only_a_request_that_was_sent_may_have_taken_effect() {
    let mut harness = connected();
    harness.execute(1, post("hello"));
    harness.fail(LinkFaultKind::Ended);
    assert_eq!(harness.last_executed().as_ref().unwrap_err().kind(), FaultKind::ReplyLost);
    harness.execute(2, post("hello"));
    harness.fail(LinkFaultKind::Unreachable);
    assert_eq!(harness.last_executed().as_ref().unwrap_err().kind(), FaultKind::Unreachable);
}

#[test]
fn a_missing_reply_is_lost_after_five_seconds() {
    let mut harness = connected();
    harness.execute(1, post("hello"));
    harness.pass(Duration::from_millis(4999));
    assert_eq!(harness.executed.len(), 1);
    harness.pass(Duration::from_millis(1));
    assert_eq!(harness.last_executed().as_ref().unwrap_err().kind(), FaultKind::ReplyLost);
    assert_eq!(harness.closed, harness.opened);
}

#[test]
fn messages_of_a_cancelled_reserve_are_released() {
    let mut harness = connected();
    harness.execute(1, reserve(2));
    harness.handle(Input::Cancel(CommandId(1)));
    harness.receive("*2\r\n$1\r\n0\r\n:0\r\n");
    let (one, two) = (format!("{ID}0000one"), format!("{ID}0000two"));
    harness.receive(&array(&[&one, &two, END, "more"]));
    assert_eq!(harness.executed.len(), 1, "its caller has been dropped");
    let sent = harness.last_sent();
    let [first, second] = ["01\r\n", "00\r\n"].map(|position| sent.find(position).unwrap());
    assert!(first < second && sent.matches("EVALSHA").count() == 2, "{sent}");
}

#[test]
fn a_reply_beyond_the_limits_ends_the_connection() {
    let mut harness = connected();
    harness.execute(1, reserve(100));
    harness.receive("*2\r\n$1\r\n0\r\n:0\r\n");
    harness.receive("*2\r\n$9999999\r\n");
    assert_eq!(harness.last_executed().as_ref().unwrap_err().kind(), FaultKind::ReplyLost);
    assert_eq!(harness.closed, harness.opened);
}
