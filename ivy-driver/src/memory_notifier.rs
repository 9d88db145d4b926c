//! A notifier in this process.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_channel::mpsc;
use futures_util::future::{self, BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use ivy_proto::ChannelName;
use ivy_proto::backend::{Notifier, SubscriptionEvent};
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};

/// How many notices a subscriber may leave unread before it is cut off, as in Redis.
const UNREAD_NOTICES: usize = 1024;

/// Delivers each notice to the subscribers of its channel.
#[derive(Clone, Default)]
pub(crate) struct MemoryNotifier {
    subscribers: Arc<Mutex<Vec<Subscriber>>>,
}

struct Subscriber {
    channels: Vec<ChannelName>,
    notices: mpsc::Sender<Publication>,
}

impl fmt::Debug for MemoryNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryNotifier")
    }
}

impl MemoryNotifier {
    fn subscribers(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        // No code that can panic runs while the lock is held.
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, publication: &Publication) -> u64 {
        let mut receivers = 0;
        self.subscribers().retain_mut(|subscriber| {
            if !subscriber.channels.contains(&publication.channel) {
                return !subscriber.notices.is_closed();
            }
            let received = subscriber.notices.try_send(publication.clone()).is_ok();
            receivers += u64::from(received);
            received
        });
        receivers
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> mpsc::Receiver<Publication> {
        // Each sender of the channel adds one slot.
        let (notices, receiver) = mpsc::channel(UNREAD_NOTICES - 1);
        let mut subscribers = self.subscribers();
        // Removes dropped subscribers, even if nothing is published.
        subscribers.retain(|subscriber| !subscriber.notices.is_closed());
        subscribers.push(Subscriber { channels, notices });
        receiver
    }
}

impl Notifier for MemoryNotifier {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        future::ready(Ok(MemoryNotifier::publish(self, &publication))).boxed()
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, SubscriptionEvent> {
        let this = self.clone();
        stream::once(async move { MemoryNotifier::subscribe(&this, channels) })
            .flat_map(|notices| {
                let lost =
                    SubscriptionEvent::Lost(NotifyFault::new(NotifyFaultKind::ConnectionLost));
                stream::iter([SubscriptionEvent::Subscribed])
                    .chain(notices.map(|Publication { channel, payload }| {
                        SubscriptionEvent::Notice {
                            channel,
                            payload: payload.as_str().as_bytes().to_vec(),
                        }
                    }))
                    .chain(stream::iter([lost]))
            })
            .boxed()
    }
}

#[cfg(test)]
mod tests {
    use ivy_proto::queue::Body;

    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::new(name).unwrap()
    }

    fn notice(name: &str) -> Publication {
        Publication { channel: channel(name), payload: Body::new("{}") }
    }

    #[tokio::test]
    async fn a_notice_reaches_the_subscribers_of_its_channel() {
        let notifier = MemoryNotifier::default();
        let mut mine = Notifier::subscribe(&notifier, vec![channel("a"), channel("b")]);
        let mut other = Notifier::subscribe(&notifier, vec![channel("c")]);
        assert!(matches!(mine.next().await, Some(SubscriptionEvent::Subscribed)));
        assert!(matches!(other.next().await, Some(SubscriptionEvent::Subscribed)));
        assert_eq!(notifier.publish(&notice("b")), 1);
        let Some(SubscriptionEvent::Notice { channel, payload }) = mine.next().await else {
            panic!()
        };
        assert_eq!((channel.as_str(), payload.as_slice()), ("b", b"{}".as_slice()));
        assert!(other.next().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_dropped_subscription_is_removed() {
        let notifier = MemoryNotifier::default();
        let mut subscription = Notifier::subscribe(&notifier, vec![channel("a")]);
        subscription.next().await;
        drop(subscription);
        assert_eq!(notifier.publish(&notice("b")), 0);
        assert!(notifier.subscribers().is_empty());
    }

    #[tokio::test]
    async fn dropped_subscriptions_are_removed_even_without_publications() {
        let notifier = MemoryNotifier::default();
        for _ in 0..10 {
            Notifier::subscribe(&notifier, vec![channel("a")]).next().await;
        }
        assert!(notifier.subscribers().len() <= 1);
    }

    #[tokio::test]
    async fn a_subscriber_that_does_not_read_is_cut_off_and_notified() {
        let notifier = MemoryNotifier::default();
        let mut subscription = Notifier::subscribe(&notifier, vec![channel("a")]);
        subscription.next().await;
        let received: u64 = (0..=UNREAD_NOTICES).map(|_| notifier.publish(&notice("a"))).sum();
        assert_eq!(received, UNREAD_NOTICES as u64);
        let last = subscription.collect::<Vec<_>>().await.pop();
        assert!(matches!(last, Some(SubscriptionEvent::Lost(_))));
    }
}
