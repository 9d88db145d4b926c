//! Subscribing.

use super::*;

const A: &str = "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n";
const B: &str = "*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n";

fn notice(text: &str) -> String {
    command(&["message", "b", text])
}

/// A session with a ready subscription.
fn standing() -> Scene {
    let mut scene = Scene::new();
    scene.subscribe(1, &["a", "b"]);
    scene.accept();
    assert_eq!(scene.last_sent(), command(&["SUBSCRIBE", "a", "b"]));
    scene.say(A);
    assert!(scene.heard.is_empty());
    scene.say(B);
    assert!(matches!(scene.heard[..], [(1, SubscriptionEvent::Subscribed)]));
    scene.heard.clear();
    scene
}

impl Scene {
    /// The notices that arrived since the last call.
    fn notices(&mut self) -> Vec<String> {
        let text = |heard| match heard {
            (1, SubscriptionEvent::Notice { payload, .. }) => String::from_utf8(payload).unwrap(),
            other => panic!("no notice: {other:?}"),
        };
        self.heard.drain(..).map(text).collect()
    }

    /// Time passes, in which the server replies to pings.
    fn pass_on(&mut self, connection_id: ConnectionId, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            let step = Duration::from_secs(10).min(until.since(self.now));
            self.pass(step);
            if self.sent.last() == Some(&(connection_id, command(&["PING"]))) {
                self.say_on(connection_id, &command(&["pong", ""]));
                self.sent.clear();
            }
        }
    }
}

#[test]
fn notices_arrive_with_their_channel() {
    let mut scene = standing();
    scene.say(&notice("{}"));
    let Some((1, SubscriptionEvent::Notice { channel, payload })) = scene.heard.pop() else {
        panic!()
    };
    assert_eq!((channel.as_str(), payload.as_slice()), ("b", &b"{}"[..]));
}

#[test]
fn a_notice_may_arrive_in_any_pieces() {
    let said = notice("line\r\nline");
    for cut in 1..said.len() {
        let mut scene = standing();
        scene.say(&said[..cut]);
        assert!(scene.heard.is_empty());
        scene.say(&said[cut..]);
        assert_eq!(scene.notices(), ["line\r\nline"]);
    }
}

#[test]
fn other_messages_are_skipped() {
    let mut scene = standing();
    for said in ["+OK\r\n", ":1\r\n", "*0\r\n", "*-1\r\n", "*1\r\n$7\r\nmessage\r\n", A] {
        scene.say(said);
    }
    assert!(scene.heard.is_empty() && scene.closed.is_empty());
}

#[test]
fn notices_before_the_confirmation_are_not_stored() {
    let mut scene = Scene::new();
    scene.subscribe(1, &["a", "b"]);
    scene.accept();
    scene.say(&notice("early").repeat(1000));
    assert!(scene.heard.is_empty());
    scene.say(&format!("{A}{B}{}", notice("late")));
    scene.heard.remove(0);
    assert_eq!(scene.notices(), ["late"]);
}

#[test]
fn a_missing_permission_is_reported_with_the_required_ones() {
    let mut scene = Scene::new();
    scene.subscribe(1, &["news"]);
    scene.accept();
    scene.say("-NOPERM this user has no permissions\r\n");
    assert_eq!(scene.last_fault().kind(), NotifyFaultKind::NoPermission);
    assert!(scene.last_fault().to_string().contains("&news +subscribe"));
    assert_eq!(scene.closed, scene.opened);
}

#[test]
fn a_subscription_that_no_longer_responds_is_lost() {
    let mut scene = standing();
    scene.pass(Duration::from_millis(19_999));
    assert_ne!(scene.last_sent(), command(&["PING"]));
    scene.pass(Duration::from_millis(1));
    assert_eq!(scene.last_sent(), command(&["PING"]));
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.last_fault().kind(), NotifyFaultKind::ConnectionLost);
    assert_eq!((scene.closed.len(), scene.deadline), (1, None));
}

#[test]
fn a_server_that_does_not_reply_is_unreachable() {
    let mut scene = Scene::new();
    scene.subscribe(1, &["a"]);
    scene.accept();
    scene.pass(Duration::from_secs(5));
    assert_eq!(scene.last_fault().kind(), NotifyFaultKind::Unreachable);
    assert_eq!(scene.closed, scene.opened);
}

#[test]
fn a_cancelled_subscription_closes_its_connections() {
    let mut scene = standing();
    scene.hand_in(Input::Cancel(CommandId(1)));
    assert_eq!((scene.closed == scene.opened, scene.deadline), (true, None));
}

#[test]
fn a_subscription_is_replaced_once_a_minute_without_a_gap() {
    let mut scene = standing();
    let old = scene.connection_id();
    scene.pass_on(old, Duration::from_secs(59));
    assert_eq!(scene.opened.len(), 1);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.opened.len(), 2);
    scene.say_on(old, &notice("while the other one is made"));
    scene.accept();
    scene.say(A);
    scene.say(B);
    scene.say_on(old, &notice("on its way"));
    scene.say(&notice("new"));
    assert_eq!(scene.notices(), ["while the other one is made", "on its way", "new"]);
    scene.pass(Duration::from_secs(1));
    assert_eq!(scene.closed, [old]);
    scene.say(&notice("newer"));
    assert_eq!(scene.notices(), ["newer"]);
}

#[test]
fn a_subscription_remains_if_it_cannot_be_replaced() {
    let mut scene = standing();
    let old = scene.connection_id();
    scene.pass_on(old, Duration::from_secs(60));
    scene.fail(LinkFaultKind::Unreachable);
    scene.say_on(old, &notice("still here"));
    assert_eq!(scene.notices(), ["still here"]);
    scene.pass_on(old, Duration::from_secs(60));
    assert_eq!((scene.opened.len(), scene.closed.len()), (3, 0));
}

#[test]
fn a_lost_subscription_ends_unless_its_replacement_is_ready() {
    let mut scene = standing();
    let old = scene.connection_id();
    scene.pass_on(old, Duration::from_secs(60));
    scene.accept();
    scene.say(&format!("{A}{B}"));
    scene.hand_in(Input::Closed(old, LinkFault::new(LinkFaultKind::Ended, "gone")));
    scene.say(&notice("new"));
    assert_eq!(scene.notices(), ["new"]);
    scene.fail(LinkFaultKind::Ended);
    assert!(matches!(scene.heard.pop(), Some((1, SubscriptionEvent::Lost(_)))));
    assert_eq!(scene.deadline, None);
}
