//! Servers that send invalid replies.

use super::operations::{NOTHING_LOST, connected, mail};
use super::*;

/// Replies that no request asked for.
const UNREQUESTED: &str = "+OK\r\n+OK\r\n+OK\r\n";

fn clear() -> QueueOp {
    QueueOp::Clear { queue: mail() }
}

fn last_kind(harness: &Harness) -> FaultKind {
    harness.last_executed().as_ref().unwrap_err().kind()
}

#[test]
fn requests_to_a_server_that_sends_unrequested_replies_fail_and_connections_are_rare() {
    let mut harness = connected();
    harness.receive(UNREQUESTED);
    for command_id in 1..=600 {
        let opened = harness.opened.len();
        harness.execute(command_id, clear());
        if harness.opened.len() > opened {
            harness.accept();
            harness.receive(UNREQUESTED);
        }
        assert_eq!(harness.executed.len() as u64, 1 + command_id);
        assert_eq!(last_kind(&harness), FaultKind::Unreachable);
        harness.pass(Duration::from_millis(100));
    }
    assert!(harness.opened.len() <= 12, "{} connections in a minute", harness.opened.len());
    let fault = harness.last_executed().as_ref().unwrap_err().to_string();
    assert!(fault.contains("no proxy changes its replies"), "{fault}");
}

#[test]
fn publications_to_such_a_server_were_not_published() {
    let mut harness = connected();
    harness.receive(UNREQUESTED);
    harness.publish(1, "news");
    harness.accept();
    harness.receive(UNREQUESTED);
    assert_eq!(harness.last_fault().kind(), NotifyFaultKind::Unreachable);
}

#[test]
fn a_wait_is_not_repeated_without_end_if_each_is_followed_by_an_unrequested_reply() {
    let mut harness = connected();
    let (queue, lease) = (mail(), Duration::from_secs(30));
    harness.execute(1, QueueOp::Reserve { queue, count: 10, lease, wait: lease });
    harness.receive(&format!("{NOTHING_LOST}{}", array(&[""])));
    for _ in 0..5 {
        harness.accept();
        harness.receive(&format!(":7\r\n$-1\r\n{}{UNREQUESTED}", array(&[""])));
    }
    assert_eq!(last_kind(&harness), FaultKind::Unreachable);
    assert_eq!(harness.opened.len(), 6);
}

#[test]
fn a_server_that_does_not_wait_is_asked_rarely() {
    let mut harness = connected();
    let (queue, lease) = (mail(), Duration::from_secs(30));
    harness.execute(1, QueueOp::Reserve { queue, count: 10, lease, wait: lease });
    harness.receive(&format!("{NOTHING_LOST}{}", array(&[""])));
    harness.accept();
    let (short, waiting) = (harness.opened[0], harness.connection_id());
    harness.receive(":7\r\n");
    for _ in 0..100 {
        // Each command that waits for a reply gets one at once.
        let sent = harness.sent.len();
        harness.receive_on(waiting, &format!("$-1\r\n{}", array(&[""])));
        if harness.sent.len() == sent {
            harness.pass(Duration::from_secs(1));
            if harness.last_sent() == command(&["HELLO", "2"]) {
                harness.receive_on(short, HELLO);
            }
            harness.receive_on(short, &array(&[""]));
        }
    }
    assert!(harness.now.since(Moment::EPOCH) >= Duration::from_secs(4));
}

#[test]
fn a_subscription_ends_if_another_reply_precedes_its_confirmation() {
    for reply in ["+OK\r\n", ":1\r\n", "*2\r\n$4\r\npong\r\n$0\r\n\r\n"] {
        let mut harness = Harness::new();
        harness.subscribe(1, &["a"]);
        harness.accept();
        harness.receive(reply);
        assert_eq!(harness.last_fault().kind(), NotifyFaultKind::ConnectionLost);
        assert_eq!(harness.closed, harness.opened);
    }
}
