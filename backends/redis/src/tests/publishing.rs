//! Publishing.

use super::*;

const REPLY: &str = "news.r.AAAAAAAAAAAAAAAAAAAAAA";

/// A session that has published, on an open connection.
fn standing() -> Scene {
    let mut scene = Scene::new();
    scene.publish(0, "news");
    scene.accept_publisher();
    scene.say(":1\r\n");
    assert_eq!(scene.last_published(), &Ok(1));
    scene
}

#[test]
fn the_first_publication_opens_a_connection_and_follows_the_handshake() {
    let mut scene = Scene::new();
    assert!(scene.opened.is_empty());
    scene.publish(1, "news");
    let connection_id = scene.connection_id();
    assert!(scene.sent.is_empty());
    scene.hand_in(Input::Opened(connection_id));
    assert_eq!(scene.last_sent(), command(&["AUTH", PASSWORD]));
    scene.say("+OK\r\n");
    assert_eq!(scene.last_sent(), command(&["HELLO", "2"]));
    scene.say(HELLO);
    assert_eq!(scene.last_sent(), command(&["PUBLISH", "news", "{}"]));
    scene.say(":2\r\n");
    assert_eq!(scene.published, [(1, Ok(2))]);
}

#[test]
fn publications_that_arrive_together_are_sent_together() {
    let mut scene = Scene::new();
    (1..=3).for_each(|command_id| scene.publish(command_id, "news"));
    assert_eq!(scene.opened.len(), 1);
    scene.accept_publisher();
    assert_eq!(scene.last_sent(), command(&["PUBLISH", "news", "{}"]).repeat(3));
    scene.say(":1\r\n:2\r\n:3\r\n");
    assert_eq!(scene.published, [(1, Ok(1)), (2, Ok(2)), (3, Ok(3))]);
}

#[test]
fn replies_may_arrive_in_any_pieces() {
    let answers = ":1\r\n-READONLY you write\r\n";
    for cut in 1..answers.len() {
        let mut scene = standing();
        scene.publish(1, "news");
        scene.publish(2, "news");
        scene.say(&answers[..cut]);
        scene.say(&answers[cut..]);
        assert_eq!(scene.published[1], (1, Ok(1)));
        assert_eq!(scene.last_fault().kind(), NotifyFaultKind::Refused);
    }
}

#[test]
fn a_refusal_contains_the_text_of_the_server_and_the_next_publication_reconnects() {
    let mut scene = standing();
    let old = scene.connection_id();
    scene.publish(1, "news");
    scene.say("-READONLY You can't write against a read only replica.\r\n");
    assert!(scene.last_fault().to_string().contains("READONLY You can't"));
    assert_eq!(scene.closed, [old]);
    scene.publish(2, "news");
    assert_ne!(scene.connection_id(), old);
}

#[test]
fn wrong_credentials_fail_pending_publications_without_showing_the_password() {
    for answer in ["-WRONGPASS correct horse\r\n", "-NOAUTH a\r\n", "-ERR invalid password\r\n"] {
        let mut scene = Scene::new();
        scene.publish(1, "news");
        scene.hand_in(Input::Opened(scene.connection_id()));
        scene.say(answer);
        let fault = scene.last_fault();
        assert_eq!(fault.kind(), NotifyFaultKind::Unauthorized, "{answer:?}");
        assert!(!format!("{fault} {fault:?}").contains("horse"), "{fault:?}");
        assert_eq!(scene.closed, scene.opened);
    }
}

#[test]
fn a_full_server_is_reported_before_any_request() {
    let mut scene = Scene::new();
    scene.publish(1, "news");
    scene.hand_in(Input::Opened(scene.connection_id()));
    scene.say("-ERR max number of clients reached\r\n");
    let fault = scene.last_fault();
    assert_eq!(fault.kind(), NotifyFaultKind::Refused);
    assert!(fault.to_string().contains("max number of clients reached"), "{fault}");
}

#[test]
fn a_server_of_another_protocol_is_reported_with_its_first_bytes() {
    let mut scene = Scene::new();
    scene.publish(1, "news");
    scene.hand_in(Input::Opened(scene.connection_id()));
    scene.say("HTTP/1.1 400 Bad Request\r\n\r\n");
    let fault = scene.last_fault();
    assert_eq!(fault.kind(), NotifyFaultKind::Unreachable);
    assert!(fault.to_string().contains("HTTP/1.1"), "{fault}");
}

#[test]
fn a_connection_that_cannot_be_opened_has_published_nothing() {
    for (failed, kind) in [
        (LinkFaultKind::Unreachable, NotifyFaultKind::Unreachable),
        (LinkFaultKind::Tls, NotifyFaultKind::Tls),
    ] {
        let mut scene = Scene::new();
        scene.publish(1, "news");
        scene.fail(failed);
        assert_eq!(scene.last_fault().kind(), kind);
        assert!(scene.last_fault().to_string().contains("redis.example:6379"));
        scene.publish(2, "news");
        assert_eq!(scene.opened.len(), 2);
    }
}

#[test]
fn a_connection_that_ends_before_the_reply_may_have_published() {
    let mut scene = standing();
    scene.publish(1, "news");
    scene.fail(LinkFaultKind::Ended);
    assert_eq!(scene.last_fault().kind(), NotifyFaultKind::ConnectionLost);
    scene.publish(2, "news");
    scene.accept_publisher();
    scene.say(":1\r\n");
    assert_eq!(scene.last_published(), &Ok(1));
}

#[test]
fn the_end_of_an_idle_connection_costs_no_publication() {
    let mut scene = standing();
    scene.fail(LinkFaultKind::Ended);
    scene.publish(1, "news");
    scene.accept_publisher();
    scene.say(":1\r\n");
    assert_eq!(scene.last_published(), &Ok(1));
}

#[test]
fn damaged_and_unexpected_replies_end_the_connection() {
    for answer in [
        "?\r\n",
        ":x\r\n",
        ":-1\r\n",
        "$-2\r\n",
        "+OK\r\n",
        "*9223372036854775807\r\n",
        "$1073741824\r\n",
        ":1\r\n:1\r\n",
    ] {
        let mut scene = standing();
        scene.publish(1, "news");
        scene.say(answer);
        assert_eq!(scene.closed, scene.opened, "{answer:?}");
        assert_eq!(scene.published.len(), 2);
        scene.publish(2, "news");
        assert_eq!(scene.opened.len(), 2);
    }
}

#[test]
fn each_stage_has_a_time_limit() {
    let mut scene = Scene::new();
    scene.publish(1, "news");
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.last_fault().kind(), NotifyFaultKind::Unreachable);
    let mut scene = standing();
    scene.publish(1, "news");
    scene.pass(Duration::from_millis(4_999));
    assert_eq!(scene.published.len(), 1);
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.last_fault().kind(), NotifyFaultKind::ConnectionLost);
    assert_eq!(scene.closed, scene.opened);
    assert_eq!(scene.deadline, None);
}

#[test]
fn an_idle_connection_is_checked() {
    let mut scene = standing();
    scene.pass(Duration::from_millis(1_001));
    scene.publish(1, "news");
    assert_eq!(scene.last_sent(), command(&["HELLO", "2"]));
    scene.say(HELLO);
    scene.say(":1\r\n");
    assert_eq!(scene.last_published(), &Ok(1));
}

#[test]
fn a_notice_without_a_subscriber_is_published_once_more_on_another_connection() {
    let mut scene = standing();
    scene.publish(1, REPLY);
    scene.say(":0\r\n");
    assert_eq!((scene.opened.len(), scene.published.len()), (2, 1));
    scene.accept_publisher();
    assert_eq!(scene.closed, [scene.opened[0]]);
    scene.say(":0\r\n");
    assert_eq!(scene.last_published(), &Ok(0));
    assert_eq!(scene.opened.len(), 2);
}

#[test]
fn a_replaced_connection_stays_open_until_its_replies_have_arrived() {
    let mut scene = standing();
    let old = scene.connection_id();
    scene.pass(Duration::from_secs(60));
    scene.publish(1, "news");
    scene.say(HELLO);
    assert_eq!(scene.opened.len(), 2, "it is a minute old");
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.closed, [scene.opened[1]], "the replacement takes too long");
    assert_eq!(scene.sent.last(), Some(&(old, command(&["PUBLISH", "news", "{}"]))));
    scene.say_on(old, ":1\r\n");
    assert_eq!(scene.last_published(), &Ok(1));
}

#[test]
fn a_user_name_that_is_ignored_is_reported_once() {
    let mut scene = Scene::with_user(Some("ada"));
    for command_id in 0..2 {
        scene.publish(command_id, "news");
        scene.hand_in(Input::Opened(scene.connection_id()));
        if command_id == 0 {
            scene.say("-WRONGPASS no such user\r\n");
        }
        assert_eq!(scene.last_sent(), command(&["AUTH", PASSWORD]));
        scene.say("+OK\r\n");
        scene.fail(LinkFaultKind::Ended);
    }
    assert_eq!(scene.events, [Event::NotifierUserIgnored]);
}

#[test]
fn a_publication_cancelled_in_time_is_not_sent() {
    let mut scene = Scene::new();
    scene.publish(1, "news");
    scene.publish(2, "other");
    scene.hand_in(Input::Cancel(CommandId(1)));
    scene.accept_publisher();
    assert_eq!(scene.last_sent(), command(&["PUBLISH", "other", "{}"]));
}

#[test]
fn its_debug_output_contains_no_credentials() {
    assert_eq!(format!("{:?}", Scene::new().session), "RedisSession(redis.example:6379)");
}
