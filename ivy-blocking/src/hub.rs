//! A notifier in this process.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ivy_proto::ChannelName;
use ivy_proto::notify::Publication;

use crate::backend::{Answer, Heard, News, Notifier, PublishResult, Subscriber, Subscription};

/// Hands each notice to the subscribers of its channel. One that leaves too many unread is cut off,
/// as Redis does it.
#[derive(Clone, Default)]
pub(crate) struct Hub {
    subscribers: Arc<Mutex<Vec<Listener>>>,
}

struct Listener {
    channels: Vec<ChannelName>,
    subscriber: Subscriber,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hub")
    }
}

impl Hub {
    fn subscribers(&self) -> MutexGuard<'_, Vec<Listener>> {
        // No code that can panic runs while the lock is held.
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, publication: &Publication) -> u64 {
        let mut receivers = 0;
        self.subscribers().retain(|Listener { channels, subscriber }| {
            if subscriber.ended().is_cancelled() || !channels.contains(&publication.channel) {
                return !subscriber.ended().is_cancelled();
            }
            let heard = subscriber.try_tell(Heard::Notice {
                channel: publication.channel.clone(),
                payload: publication.payload.as_str().as_bytes().to_vec(),
            });
            receivers += u64::from(heard.is_ok());
            heard.is_ok()
        });
        receivers
    }
}

impl Notifier for Hub {
    fn publish(&self, publication: Publication, answer: Answer<PublishResult>) {
        answer.give(Ok(Hub::publish(self, &publication)));
    }

    fn subscribe(&self, channels: Vec<ChannelName>, news: News) -> Subscription {
        let (subscriber, subscription) = Subscription::new(news);
        subscriber.tell(Heard::Subscribed);
        self.subscribers().push(Listener { channels, subscriber });
        subscription
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use ivy_proto::queue::Body;

    use super::*;
    use crate::backend::UNREAD_NOTICES;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    fn notice(name: &str) -> Publication {
        Publication { channel: channel(name), payload: Body::new("{}") }
    }

    fn subscribe(hub: &Hub, channels: &[&str]) -> Subscription {
        hub.subscribe(channels.iter().map(|name| channel(name)).collect(), Box::new(|| {}))
    }

    #[test]
    fn a_notice_reaches_those_who_subscribed_to_its_channel() {
        let hub = Hub::default();
        let (mine, other) = (subscribe(&hub, &["a", "b"]), subscribe(&hub, &["c"]));
        assert!(matches!(mine.next(), Some(Heard::Subscribed)));
        assert!(matches!(other.next(), Some(Heard::Subscribed)));
        assert_eq!(hub.publish(&notice("b")), 1);
        let Some(Heard::Notice { channel, payload }) = mine.next() else { panic!() };
        assert_eq!((channel.as_str(), payload.as_slice()), ("b", b"{}".as_slice()));
        assert!(other.next().is_none());
    }

    #[test]
    fn each_thing_that_is_heard_is_news() {
        let (sender, news) = mpsc::channel();
        let hub = Hub::default();
        let subscription =
            hub.subscribe(vec![channel("a")], Box::new(move || sender.send(()).unwrap()));
        hub.publish(&notice("a"));
        drop(hub);
        let heard: Vec<_> = news.iter().map(|()| subscription.next()).collect();
        assert!(
            matches!(
                heard[..],
                [Some(Heard::Subscribed), Some(Heard::Notice { .. }), Some(Heard::Lost(_))]
            ),
            "{heard:?}"
        );
    }

    #[test]
    fn a_dropped_subscription_is_forgotten() {
        let hub = Hub::default();
        drop(subscribe(&hub, &["a"]));
        assert_eq!(hub.publish(&notice("b")), 0);
        assert!(hub.subscribers().is_empty());
    }

    #[test]
    fn a_subscriber_that_does_not_read_is_cut_off_and_told() {
        let hub = Hub::default();
        let subscription = subscribe(&hub, &["a"]);
        assert!(matches!(subscription.next(), Some(Heard::Subscribed)));
        let heard: u64 = (0..=UNREAD_NOTICES).map(|_| hub.publish(&notice("a"))).sum();
        assert_eq!(heard, UNREAD_NOTICES as u64);
        let last = std::iter::from_fn(|| subscription.next()).nth(UNREAD_NOTICES);
        assert!(matches!(last, Some(Heard::Lost(_))));
    }
}
