//! What every notifier must do.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use ivy_proto::ChannelName;
use ivy_proto::backend::{BoxStream, Notifier, SubscriptionEvent};
use ivy_proto::notify::Publication;
use ivy_proto::queue::Body;
use ivy_test_kit::PATIENCE;
use tokio::time::{sleep, timeout};

crate::cases! { Fixture:
    a_notice_reaches_the_subscriber_of_its_channel,
    a_notice_arrives_as_it_was_published,
    a_notice_of_a_mebibyte_arrives_whole,
    notices_arrive_in_the_order_in_which_they_were_published,
    notices_arrive_with_the_name_of_their_channel,
    nothing_of_other_channels_arrives,
    each_subscriber_of_a_channel_is_reached,
    a_notice_without_a_subscriber_is_published_all_the_same,
    a_notice_from_before_the_subscription_does_not_arrive,
    a_subscription_that_is_dropped_is_not_reached_any_more,
    a_channel_can_be_subscribed_to_again,
    a_subscription_stays_up_while_nothing_is_published,
    many_may_publish_at_a_time,
}

/// A notifier, and channels that no other case uses.
pub(crate) struct Fixture {
    notifier: Arc<dyn Notifier>,
    case: &'static str,
}

impl Fixture {
    pub(crate) fn new(notifier: Arc<dyn Notifier>, case: &'static str) -> Self {
        Fixture { notifier, case }
    }

    fn channel(&self, name: &str) -> ChannelName {
        ChannelName::new(&format!("{}.{name}", self.case)).unwrap()
    }

    /// A confirmed subscription.
    async fn subscribe(&self, names: &[&str]) -> Subscriber {
        let channels = names.iter().map(|name| self.channel(name)).collect();
        let mut events = self.notifier.subscribe(channels);
        let first = timeout(PATIENCE, events.next()).await.expect("it is confirmed in time");
        assert!(matches!(first, Some(SubscriptionEvent::Subscribed)), "{first:?}");
        Subscriber(events)
    }

    /// Publishes, and returns how many subscribers received it.
    async fn publish(&self, name: &str, text: &str) -> u64 {
        let publication = Publication { channel: self.channel(name), payload: Body::new(text) };
        self.notifier.publish(publication).await.unwrap()
    }
}

struct Subscriber(BoxStream<SubscriptionEvent>);

impl Subscriber {
    /// The next notice: its channel and its payload.
    async fn notice(&mut self) -> (ChannelName, String) {
        match timeout(PATIENCE, self.0.next()).await.expect("a notice comes in time") {
            Some(SubscriptionEvent::Notice { channel, payload }) => {
                (channel, String::from_utf8(payload).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    async fn text(&mut self) -> String {
        self.notice().await.1
    }
}

async fn a_notice_reaches_the_subscriber_of_its_channel(fixture: Fixture) {
    let mut subscriber = fixture.subscribe(&["a"]).await;
    assert_eq!(fixture.publish("a", "hello").await, 1);
    assert_eq!(subscriber.notice().await, (fixture.channel("a"), "hello".to_owned()));
}

async fn a_notice_arrives_as_it_was_published(fixture: Fixture) {
    let mut subscriber = fixture.subscribe(&["a"]).await;
    for text in ["", " ", "{\"a\":[1]}", "\r\n+OK\r\n", "\0\u{1}", "\u{e9}\u{4efb}\u{1f33f}"] {
        fixture.publish("a", text).await;
        assert_eq!(subscriber.text().await, text);
    }
}

async fn a_notice_of_a_mebibyte_arrives_whole(fixture: Fixture) {
    let mut subscriber = fixture.subscribe(&["a"]).await;
    let text = "0123456789abcdef".repeat(1 << 16);
    fixture.publish("a", &text).await;
    assert!(subscriber.text().await == text);
}

async fn notices_arrive_in_the_order_in_which_they_were_published(fixture: Fixture) {
    let mut subscriber = fixture.subscribe(&["a"]).await;
    for number in 0..100 {
        fixture.publish("a", &number.to_string()).await;
    }
    for number in 0..100 {
        assert_eq!(subscriber.text().await, number.to_string());
    }
}

async fn notices_arrive_with_the_name_of_their_channel(fixture: Fixture) {
    let mut subscriber = fixture.subscribe(&["a", "b"]).await;
    fixture.publish("b", "one").await;
    fixture.publish("a", "two").await;
    assert_eq!(subscriber.notice().await, (fixture.channel("b"), "one".to_owned()));
    assert_eq!(subscriber.notice().await, (fixture.channel("a"), "two".to_owned()));
}

async fn nothing_of_other_channels_arrives(fixture: Fixture) {
    let mut subscriber = fixture.subscribe(&["a"]).await;
    for other in ["a.b", "A", "*", "b"] {
        assert_eq!(fixture.publish(other, "not for a").await, 0, "{other}");
    }
    fixture.publish("a", "for a").await;
    assert_eq!(subscriber.text().await, "for a");
}

async fn each_subscriber_of_a_channel_is_reached(fixture: Fixture) {
    let mut first = fixture.subscribe(&["a"]).await;
    let mut second = fixture.subscribe(&["b", "a"]).await;
    assert_eq!(fixture.publish("a", "hello").await, 2);
    assert_eq!((first.text().await, second.text().await), ("hello".into(), "hello".into()));
}

async fn a_notice_without_a_subscriber_is_published_all_the_same(fixture: Fixture) {
    assert_eq!(fixture.publish("a", "hello").await, 0);
}

async fn a_notice_from_before_the_subscription_does_not_arrive(fixture: Fixture) {
    fixture.publish("a", "before").await;
    let mut subscriber = fixture.subscribe(&["a"]).await;
    fixture.publish("a", "after").await;
    assert_eq!(subscriber.text().await, "after");
}

async fn a_subscription_that_is_dropped_is_not_reached_any_more(fixture: Fixture) {
    drop(fixture.subscribe(&["a"]).await);
    let ended = async {
        while fixture.publish("a", "hello").await > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the subscription ends");
}

async fn a_channel_can_be_subscribed_to_again(fixture: Fixture) {
    drop(fixture.subscribe(&["a"]).await);
    let mut again = fixture.subscribe(&["a"]).await;
    assert!(fixture.publish("a", "hello").await >= 1);
    assert_eq!(again.text().await, "hello");
}

async fn a_subscription_stays_up_while_nothing_is_published(fixture: Fixture) {
    let mut subscriber = fixture.subscribe(&["a"]).await;
    sleep(Duration::from_secs(2)).await;
    fixture.publish("a", "hello").await;
    assert_eq!(subscriber.text().await, "hello");
}

async fn many_may_publish_at_a_time(fixture: Fixture) {
    let mut subscriber = fixture.subscribe(&["a"]).await;
    let texts: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let all = texts.iter().map(|text| fixture.publish("a", text));
    futures_util::future::join_all(all).await;
    let mut events = Vec::new();
    for _ in &texts {
        events.push(subscriber.text().await);
    }
    events.sort_by_key(|text| text.parse::<u32>().unwrap());
    assert_eq!(events, texts);
}
