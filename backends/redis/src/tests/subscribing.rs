//! Subscribing.

use super::*;

const A: &str = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
const B: &str = "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n";

fn notice(text: &str) -> String {
    command(&["message", "b", text])
}

/// A session with a ready subscription.
fn subscribed() -> Harness {
    let mut harness = Harness::new();
    harness.subscribe(1, &["a", "b"]);
    harness.accept();
    assert_eq!(harness.last_sent(), command(&["SUBSCRIBE", "a", "b"]));
    harness.receive(A);
    assert!(harness.subscription_events.is_empty());
    harness.receive(B);
    assert!(matches!(harness.subscription_events[..], [(1, SubscriptionEvent::Subscribed)]));
    harness.subscription_events.clear();
    harness
}

impl Harness {
    /// The notices that arrived since the last call.
    fn notices(&mut self) -> Vec<String> {
        let text = |event| match event {
            (1, SubscriptionEvent::Notice { payload, .. }) => String::from_utf8(payload).unwrap(),
            other => panic!("no notice: {other:?}"),
        };
        self.subscription_events.drain(..).map(text).collect()
    }

    /// Time passes, in which the server replies to pings.
    fn pass_with_pongs(&mut self, connection_id: ConnectionId, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            let step = Duration::from_secs(10).min(until.since(self.now));
            self.pass(step);
            if self.sent.last() == Some(&(connection_id, command(&["PING"]))) {
                self.receive_on(connection_id, &command(&["pong", ""]));
                self.sent.clear();
            }
        }
    }
}

#[test]
fn notices_arrive_with_their_channel() {
    let mut harness = subscribed();
    harness.receive(&notice("{}"));
    let Some((1, SubscriptionEvent::Notice { channel, payload })) =
        harness.subscription_events.pop()
    else {
        panic!()
    };
    assert_eq!((channel.as_str(), payload.as_slice()), ("b", &b"{}"[..]));
}

#[test]
fn a_notice_may_arrive_in_any_pieces() {
    let text = notice("line\r\nline");
    for cut in 1..text.len() {
        let mut harness = subscribed();
        harness.receive(&text[..cut]);
        assert!(harness.subscription_events.is_empty());
        harness.receive(&text[cut..]);
        assert_eq!(harness.notices(), ["line\r\nline"]);
    }
}

#[test]
fn a_notice_that_is_too_large_is_skipped_and_the_subscription_continues() {
    let mut harness = subscribed();
    let large = notice(&"x".repeat(3 << 20));
    for piece in large.as_bytes().chunks(1 << 20) {
        // All of it takes longer than the reply to a ping may take.
        harness.pass(Duration::from_secs(10));
        harness.receive(std::str::from_utf8(piece).unwrap());
    }
    harness.receive(&notice("{}"));
    assert_eq!(harness.notices(), ["", "{}"]);
    assert_eq!((harness.opened.len(), harness.closed.len()), (1, 0));
}

#[test]
fn other_messages_are_skipped() {
    let mut harness = subscribed();
    for text in ["+OK\r\n", ":1\r\n", "*0\r\n", "*-1\r\n", "*1\r\n$7\r\nmessage\r\n", A] {
        harness.receive(text);
    }
    assert!(harness.subscription_events.is_empty() && harness.closed.is_empty());
}

#[test]
fn notices_before_the_confirmation_are_not_stored() {
    let mut harness = Harness::new();
    harness.subscribe(1, &["a", "b"]);
    harness.accept();
    harness.receive(&notice("early").repeat(1000));
    assert!(harness.subscription_events.is_empty());
    harness.receive(&format!("{A}{B}{}", notice("late")));
    harness.subscription_events.remove(0);
    assert_eq!(harness.notices(), ["late"]);
}

#[test]
fn a_missing_permission_is_reported_with_the_required_ones() {
    let mut harness = Harness::new();
    harness.subscribe(1, &["news"]);
    harness.accept();
    harness.receive("-NOPERM this user has no permissions\r\n");
    assert_eq!(harness.last_fault().kind(), NotifyFaultKind::NoPermission);
    assert!(harness.last_fault().to_string().contains("&news +subscribe"));
    assert_eq!(harness.closed, harness.opened);
}

#[test]
fn a_subscription_that_no_longer_responds_is_lost() {
    let mut harness = subscribed();
    harness.pass(Duration::from_millis(19_999));
    assert_ne!(harness.last_sent(), command(&["PING"]));
    harness.pass(Duration::from_millis(1));
    assert_eq!(harness.last_sent(), command(&["PING"]));
    harness.pass(Duration::from_secs(5));
    assert_eq!(harness.last_fault().kind(), NotifyFaultKind::ConnectionLost);
    assert_eq!((harness.closed.len(), harness.deadline), (1, None));
}

#[test]
fn a_server_that_does_not_reply_is_unreachable() {
    let mut harness = Harness::new();
    harness.subscribe(1, &["a"]);
    harness.accept();
    harness.pass(Duration::from_secs(5));
    assert_eq!(harness.last_fault().kind(), NotifyFaultKind::Unreachable);
    assert_eq!(harness.closed, harness.opened);
}

#[test]
fn a_cancelled_subscription_closes_its_connections() {
    let mut harness = subscribed();
    harness.handle(Input::Cancel(CommandId(1)));
    assert_eq!((harness.closed == harness.opened, harness.deadline), (true, None));
}

#[test]
fn a_subscription_is_replaced_once_a_minute_without_a_gap() {
    let mut harness = subscribed();
    let old = harness.connection_id();
    harness.pass_with_pongs(old, Duration::from_secs(59));
    assert_eq!(harness.opened.len(), 1);
    harness.pass(Duration::from_secs(1));
    assert_eq!(harness.opened.len(), 2);
    harness.receive_on(old, &notice("while the other one is made"));
    harness.accept();
    harness.receive(A);
    harness.receive(B);
    harness.receive_on(old, &notice("on its way"));
    harness.receive(&notice("new"));
    assert_eq!(harness.notices(), ["while the other one is made", "on its way", "new"]);
    harness.pass(Duration::from_secs(1));
    assert_eq!(harness.closed, [old]);
    harness.receive(&notice("newer"));
    assert_eq!(harness.notices(), ["newer"]);
}

#[test]
fn a_subscription_remains_if_it_cannot_be_replaced() {
    let mut harness = subscribed();
    let old = harness.connection_id();
    harness.pass_with_pongs(old, Duration::from_secs(60));
    harness.fail(LinkFaultKind::Unreachable);
    harness.receive_on(old, &notice("still here"));
    assert_eq!(harness.notices(), ["still here"]);
    harness.pass_with_pongs(old, Duration::from_secs(60));
    assert_eq!((harness.opened.len(), harness.closed.len()), (3, 0));
}

#[test]
fn a_lost_subscription_ends_unless_its_replacement_is_ready() {
    let mut harness = subscribed();
    let old = harness.connection_id();
    harness.pass_with_pongs(old, Duration::from_secs(60));
    harness.accept();
    harness.receive(&format!("{A}{B}"));
    harness.handle(Input::Closed(old, LinkFault::new(LinkFaultKind::Ended, "gone")));
    harness.receive(&notice("new"));
    assert_eq!(harness.notices(), ["new"]);
    harness.fail(LinkFaultKind::Ended);
    assert!(matches!(harness.subscription_events.pop(), Some((1, SubscriptionEvent::Lost(_)))));
    assert_eq!(harness.deadline, None);
}
