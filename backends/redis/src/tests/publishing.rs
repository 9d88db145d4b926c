//! Publishing.

use super::*;

const REPLY: &str = "news.r.AAAAAAAAAAAAAAAAAAAAAA";

/// A session that has published, on an open connection.
fn connected() -> Harness {
    let mut harness = Harness::new();
    harness.publish(0, "news");
    harness.accept_publisher();
    harness.receive(":1\r\n");
    assert_eq!(harness.last_published(), &Ok(1));
    harness
}

#[test]
fn the_first_publication_opens_a_connection_and_follows_the_handshake() {
    let mut harness = Harness::new();
    assert!(harness.opened.is_empty());
    harness.publish(1, "news");
    let connection_id = harness.connection_id();
    assert!(harness.sent.is_empty());
    harness.handle(Input::Opened(connection_id));
    assert_eq!(harness.last_sent(), command(&["AUTH", PASSWORD]));
    harness.receive("+OK\r\n");
    assert_eq!(harness.last_sent(), command(&["HELLO", "2"]));
    harness.receive(HELLO);
    assert_eq!(harness.last_sent(), command(&["PUBLISH", "news", "{}"]));
    harness.receive(":2\r\n");
    assert_eq!(harness.published, [(1, Ok(2))]);
}

#[test]
fn publications_that_arrive_together_are_sent_together() {
    let mut harness = Harness::new();
    (1..=3).for_each(|command_id| harness.publish(command_id, "news"));
    assert_eq!(harness.opened.len(), 1);
    harness.accept_publisher();
    assert_eq!(harness.last_sent(), command(&["PUBLISH", "news", "{}"]).repeat(3));
    harness.receive(":1\r\n:2\r\n:3\r\n");
    assert_eq!(harness.published, [(1, Ok(1)), (2, Ok(2)), (3, Ok(3))]);
}

#[test]
fn replies_may_arrive_in_any_pieces() {
    let replies = ":1\r\n-READONLY you write\r\n";
    for cut in 1..replies.len() {
        let mut harness = connected();
        harness.publish(1, "news");
        harness.publish(2, "news");
        harness.receive(&replies[..cut]);
        harness.receive(&replies[cut..]);
        assert_eq!(harness.published[1], (1, Ok(1)));
        assert_eq!(harness.last_fault().kind(), NotifyFaultKind::Refused);
    }
}

#[test]
fn a_refusal_contains_the_text_of_the_server_and_the_next_publication_reconnects() {
    let mut harness = connected();
    let old = harness.connection_id();
    harness.publish(1, "news");
    harness.receive("-READONLY You can't write against a read only replica.\r\n");
    assert!(harness.last_fault().to_string().contains("READONLY You can't"));
    assert_eq!(harness.closed, [old]);
    harness.publish(2, "news");
    assert_ne!(harness.connection_id(), old);
}

#[test]
fn wrong_credentials_fail_pending_publications_without_showing_the_password() {
    for reply in ["-WRONGPASS correct horse\r\n", "-NOAUTH a\r\n", "-ERR invalid password\r\n"] {
        let mut harness = Harness::new();
        harness.publish(1, "news");
        harness.handle(Input::Opened(harness.connection_id()));
        harness.receive(reply);
        let fault = harness.last_fault();
        assert_eq!(fault.kind(), NotifyFaultKind::Unauthorized, "{reply:?}");
        assert!(!format!("{fault} {fault:?}").contains("horse"), "{fault:?}");
        assert_eq!(harness.closed, harness.opened);
    }
}

#[test]
fn a_full_server_is_reported_before_any_request() {
    let mut harness = Harness::new();
    harness.publish(1, "news");
    harness.handle(Input::Opened(harness.connection_id()));
    harness.receive("-ERR max number of clients reached\r\n");
    let fault = harness.last_fault();
    assert_eq!(fault.kind(), NotifyFaultKind::Refused);
    assert!(fault.to_string().contains("max number of clients reached"), "{fault}");
}

#[test]
fn a_server_of_another_protocol_is_reported_with_its_first_bytes() {
    let mut harness = Harness::new();
    harness.publish(1, "news");
    harness.handle(Input::Opened(harness.connection_id()));
    harness.receive("HTTP/1.1 400 Bad Request\r\n\r\n");
    let fault = harness.last_fault();
    assert_eq!(fault.kind(), NotifyFaultKind::Unreachable);
    assert!(fault.to_string().contains("HTTP/1.1"), "{fault}");
}

#[test]
fn a_connection_that_cannot_be_opened_has_published_nothing() {
    for (failed, kind) in [
        (LinkFaultKind::Unreachable, NotifyFaultKind::Unreachable),
        (LinkFaultKind::Tls, NotifyFaultKind::Tls),
    ] {
        let mut harness = Harness::new();
        harness.publish(1, "news");
        harness.fail(failed);
        assert_eq!(harness.last_fault().kind(), kind);
        assert!(harness.last_fault().to_string().contains("redis.example:6379"));
        harness.publish(2, "news");
        assert_eq!(harness.opened.len(), 2);
    }
}

#[test]
fn a_connection_that_ends_before_the_reply_may_have_published() {
    let mut harness = connected();
    harness.publish(1, "news");
    harness.fail(LinkFaultKind::Ended);
    assert_eq!(harness.last_fault().kind(), NotifyFaultKind::ConnectionLost);
    harness.publish(2, "news");
    harness.accept_publisher();
    harness.receive(":1\r\n");
    assert_eq!(harness.last_published(), &Ok(1));
}

#[test]
fn the_end_of_an_idle_connection_costs_no_publication() {
    let mut harness = connected();
    harness.fail(LinkFaultKind::Ended);
    harness.publish(1, "news");
    harness.accept_publisher();
    harness.receive(":1\r\n");
    assert_eq!(harness.last_published(), &Ok(1));
}

#[test]
fn damaged_and_unexpected_replies_end_the_connection() {
    for reply in [
        "?\r\n",
        ":x\r\n",
        ":-1\r\n",
        "$-2\r\n",
        "+OK\r\n",
        "*9223372036854775807\r\n",
        "$1073741824\r\n",
        ":1\r\n:1\r\n",
    ] {
        let mut harness = connected();
        harness.publish(1, "news");
        harness.receive(reply);
        assert_eq!(harness.closed, harness.opened, "{reply:?}");
        assert_eq!(harness.published.len(), 2);
        harness.publish(2, "news");
        assert_eq!(harness.opened.len(), 2);
    }
}

#[test]
fn each_stage_has_a_time_limit() {
    let mut harness = Harness::new();
    harness.publish(1, "news");
    harness.pass(Duration::from_secs(5));
    assert_eq!(harness.last_fault().kind(), NotifyFaultKind::Unreachable);
    let mut harness = connected();
    harness.publish(1, "news");
    harness.pass(Duration::from_millis(4_999));
    assert_eq!(harness.published.len(), 1);
    harness.pass(Duration::from_millis(1));
    assert_eq!(harness.last_fault().kind(), NotifyFaultKind::ConnectionLost);
    assert_eq!(harness.closed, harness.opened);
    assert_eq!(harness.deadline, None);
}

#[test]
fn an_idle_connection_is_checked() {
    let mut harness = connected();
    harness.pass(Duration::from_millis(1_001));
    harness.publish(1, "news");
    assert_eq!(harness.last_sent(), command(&["HELLO", "2"]));
    harness.receive(HELLO);
    harness.receive(":1\r\n");
    assert_eq!(harness.last_published(), &Ok(1));
}

#[test]
fn a_notice_without_a_subscriber_is_published_once_more_on_another_connection() {
    let mut harness = connected();
    harness.publish(1, REPLY);
    harness.receive(":0\r\n");
    assert_eq!((harness.opened.len(), harness.published.len()), (2, 1));
    harness.accept_publisher();
    assert_eq!(harness.closed, [harness.opened[0]]);
    harness.receive(":0\r\n");
    assert_eq!(harness.last_published(), &Ok(0));
    assert_eq!(harness.opened.len(), 2);
}

#[test]
fn a_replaced_connection_stays_open_until_its_replies_have_arrived() {
    let mut harness = connected();
    let old = harness.connection_id();
    harness.pass(Duration::from_secs(60));
    harness.publish(1, "news");
    harness.receive(HELLO);
    assert_eq!(harness.opened.len(), 2, "it is a minute old");
    harness.pass(Duration::from_secs(1));
    assert_eq!(harness.closed, [harness.opened[1]], "the replacement takes too long");
    assert_eq!(harness.sent.last(), Some(&(old, command(&["PUBLISH", "news", "{}"]))));
    harness.receive_on(old, ":1\r\n");
    assert_eq!(harness.last_published(), &Ok(1));
}

#[test]
fn a_user_name_that_is_ignored_is_reported_once() {
    let mut harness = Harness::with_user(Some("ada"));
    for command_id in 0..2 {
        harness.publish(command_id, "news");
        harness.handle(Input::Opened(harness.connection_id()));
        if command_id == 0 {
            harness.receive("-WRONGPASS no such user\r\n");
        }
        assert_eq!(harness.last_sent(), command(&["AUTH", PASSWORD]));
        harness.receive("+OK\r\n");
        harness.fail(LinkFaultKind::Ended);
    }
    assert_eq!(harness.events, [Event::NotifierUserIgnored]);
}

#[test]
fn a_publication_cancelled_in_time_is_not_sent() {
    let mut harness = Harness::new();
    harness.publish(1, "news");
    harness.publish(2, "other");
    harness.handle(Input::Cancel(CommandId(1)));
    harness.accept_publisher();
    assert_eq!(harness.last_sent(), command(&["PUBLISH", "other", "{}"]));
}

#[test]
fn its_debug_output_contains_no_credentials() {
    assert_eq!(format!("{:?}", Harness::new().session), "RedisSession(redis.example:6379)");
}
