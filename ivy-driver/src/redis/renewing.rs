//! Replaces subscriptions while they stand.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt};
use ivy_proto::ChannelName;
use ivy_proto::backend::{Heard, Notifier};
use ivy_proto::notify::redis::{Change, Subscriber};
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};

use crate::clock::Clock;
use crate::runtime::Runtime;

/// A notifier whose subscriptions are replaced as [`Subscriber`] decides.
pub(crate) struct Renewing<R, N> {
    notifier: Arc<N>,
    clock: Clock<R>,
}

impl<R: Runtime, N: Notifier> Renewing<R, N> {
    pub(crate) fn new(notifier: N, clock: Clock<R>) -> Self {
        Renewing { notifier: Arc::new(notifier), clock }
    }
}

impl<R, N: fmt::Debug> fmt::Debug for Renewing<R, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notifier.fmt(f)
    }
}

impl<R: Runtime, N: Notifier> Notifier for Renewing<R, N> {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        self.notifier.publish(publication)
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, Heard> {
        let subscription = Subscription {
            current: Some(self.notifier.subscribe(channels.clone())),
            replacement: None,
            decision: None,
            timer: std::future::pending().boxed(),
            notifier: Arc::clone(&self.notifier),
            channels,
            clock: self.clock,
        };
        stream::unfold(subscription, async |mut subscription| {
            let heard = poll_fn(|context| subscription.poll(context)).await?;
            Some((heard, subscription))
        })
        .boxed()
    }
}

struct Subscription<R, N> {
    /// Nothing after it was lost.
    current: Option<BoxStream<'static, Heard>>,
    replacement: Option<BoxStream<'static, Heard>>,
    /// Once the first subscription stands.
    decision: Option<Subscriber>,
    /// When the decision wants to be asked again.
    timer: BoxFuture<'static, ()>,
    notifier: Arc<N>,
    channels: Vec<ChannelName>,
    clock: Clock<R>,
}

impl<R: Runtime, N: Notifier> Subscription<R, N> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Heard>> {
        loop {
            let Some(current) = &mut self.current else { return Poll::Ready(None) };
            if let Poll::Ready(heard) = current.poll_next_unpin(context) {
                match self.on_current(heard) {
                    None => continue,
                    heard => return Poll::Ready(heard),
                }
            }
            if let Some(replacement) = &mut self.replacement
                && let Poll::Ready(heard) = replacement.poll_next_unpin(context)
            {
                match self.on_replacement(heard) {
                    None => continue,
                    heard => return Poll::Ready(heard),
                }
            }
            match self.timer.poll_unpin(context) {
                Poll::Ready(()) => self.on_timer(),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn on_current(&mut self, heard: Option<Heard>) -> Option<Heard> {
        let now = self.clock.now();
        let fault = match heard {
            Some(Heard::Subscribed) => {
                self.decision = Some(Subscriber::new(now));
                self.set_timer();
                return Some(Heard::Subscribed);
            }
            Some(notice @ Heard::Notice { .. }) => return Some(notice),
            Some(Heard::Lost(fault)) => fault,
            None => NotifyFault::new(NotifyFaultKind::ConnectionLost),
        };
        let is_replaced = self.decision.as_mut().is_some_and(|decision| decision.old_lost(now));
        self.current = self.replacement.take().filter(|_| is_replaced);
        self.set_timer();
        // Without a replacement, this ends the subscription.
        self.current.is_none().then_some(Heard::Lost(fault))
    }

    fn on_replacement(&mut self, heard: Option<Heard>) -> Option<Heard> {
        let now = self.clock.now();
        let decision = self.decision.as_mut()?;
        match heard {
            Some(notice @ Heard::Notice { .. }) => return Some(notice),
            Some(Heard::Subscribed) => decision.subscribed(now),
            lost @ (Some(Heard::Lost(_)) | None) => {
                tracing::debug!(?lost, "the subscription was not replaced");
                self.replacement = None;
                decision.failed(now);
            }
        }
        self.set_timer();
        None
    }

    fn on_timer(&mut self) {
        let change = self.decision.as_mut().and_then(|decision| decision.tick(self.clock.now()));
        match change {
            Some(Change::Open) => {
                self.replacement = Some(self.notifier.subscribe(self.channels.clone()));
            }
            Some(Change::DropOld) => self.current = self.replacement.take(),
            None => {}
        }
        self.set_timer();
    }

    fn set_timer(&mut self) {
        let (clock, until) = (self.clock, self.decision.as_ref().and_then(Subscriber::wait_until));
        self.timer = async move { clock.sleep_until(until).await }.boxed();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use futures_channel::mpsc;

    use super::*;
    use crate::testing::Tokio;

    /// A notifier whose subscriptions say what a test wants them to.
    #[derive(Debug, Default)]
    struct Scripted {
        subscriptions: Arc<Mutex<Vec<mpsc::UnboundedSender<Heard>>>>,
    }

    impl Notifier for Scripted {
        fn publish(&self, _: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
            std::future::ready(Ok(0)).boxed()
        }

        fn subscribe(&self, _: Vec<ChannelName>) -> BoxStream<'static, Heard> {
            let (sender, heard) = mpsc::unbounded();
            self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
            heard.boxed()
        }
    }

    struct Scene {
        subscriptions: Arc<Mutex<Vec<mpsc::UnboundedSender<Heard>>>>,
        heard: BoxStream<'static, Heard>,
    }

    impl Scene {
        /// A first subscription that stands.
        async fn start() -> Self {
            let notifier = Scripted::default();
            let subscriptions = Arc::clone(&notifier.subscriptions);
            let renewing = Renewing::new(notifier, Clock::<Tokio>::start());
            let heard = renewing.subscribe(vec![ChannelName::new("news").unwrap()]);
            let mut scene = Scene { subscriptions, heard };
            scene.say(0, Heard::Subscribed);
            assert!(matches!(scene.next().await, Some(Heard::Subscribed)));
            scene
        }

        fn say(&self, subscription: usize, heard: Heard) {
            self.subscriptions.lock().unwrap()[subscription].unbounded_send(heard).unwrap();
        }

        fn notice(&self, subscription: usize, text: &str) {
            let channel = ChannelName::new("news").unwrap();
            self.say(subscription, Heard::Notice { channel, payload: text.into() });
        }

        fn lose(&self, subscription: usize) {
            self.say(subscription, Heard::Lost(NotifyFault::new(NotifyFaultKind::ConnectionLost)));
        }

        fn count(&self) -> usize {
            self.subscriptions.lock().unwrap().len()
        }

        fn is_dropped(&self, subscription: usize) -> bool {
            self.subscriptions.lock().unwrap()[subscription].is_closed()
        }

        async fn next(&mut self) -> Option<Heard> {
            self.heard.next().await
        }

        async fn next_notice(&mut self) -> String {
            match self.next().await {
                Some(Heard::Notice { payload, .. }) => String::from_utf8(payload).unwrap(),
                other => panic!("no notice: {other:?}"),
            }
        }

        /// Nothing is heard for so long.
        async fn pass(&mut self, time: Duration) {
            let heard = tokio::time::timeout(time, self.heard.next()).await;
            assert!(heard.is_err(), "{heard:?}");
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);
    const LITTLE: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_subscription_is_replaced_without_a_gap() {
        let mut scene = Scene::start().await;
        scene.pass(MINUTE - LITTLE).await;
        assert_eq!(scene.count(), 1);
        scene.pass(2 * LITTLE).await;
        assert_eq!(scene.count(), 2);
        scene.notice(0, "while the other one is made");
        assert_eq!(scene.next_notice().await, "while the other one is made");
        scene.say(1, Heard::Subscribed);
        scene.pass(LITTLE).await;
        scene.notice(0, "on its way");
        scene.notice(1, "new");
        assert_eq!(scene.next_notice().await, "on its way");
        assert_eq!(scene.next_notice().await, "new");
        scene.pass(Duration::from_secs(2)).await;
        assert!(scene.is_dropped(0));
        scene.notice(1, "newer");
        assert_eq!(scene.next_notice().await, "newer");
        scene.pass(MINUTE).await;
        assert_eq!(scene.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_stays_where_it_cannot_be_replaced() {
        let mut scene = Scene::start().await;
        scene.pass(MINUTE + LITTLE).await;
        scene.lose(1);
        scene.pass(LITTLE).await;
        scene.notice(0, "still here");
        assert_eq!(scene.next_notice().await, "still here");
        scene.pass(MINUTE).await;
        assert_eq!(scene.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_is_lost_ends_unless_its_replacement_stands() {
        let mut scene = Scene::start().await;
        scene.pass(MINUTE + LITTLE).await;
        scene.say(1, Heard::Subscribed);
        scene.pass(LITTLE).await;
        scene.lose(0);
        scene.pass(LITTLE).await;
        scene.notice(1, "new");
        assert_eq!(scene.next_notice().await, "new");
        scene.lose(1);
        assert!(matches!(scene.next().await, Some(Heard::Lost(_))));
        assert!(scene.next().await.is_none());
    }
}
