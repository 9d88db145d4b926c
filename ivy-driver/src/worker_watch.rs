//! Listens for workers.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, FutureExt, select};
use futures_util::stream::{BoxStream, StreamExt};
use ivy_proto::backend::{Notifier, SubscriptionEvent};
use ivy_proto::event::Event;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, STABLE_AFTER};
use ivy_proto::presence::{Heard, Listener};
use ivy_proto::{Backoff, Cause, Moment};

use crate::clock::Clock;
use crate::error::Error;
use crate::events::EventSink;
use crate::ivy::Ivy;
use crate::runtime::Runtime;

/// Listens for the presence records of workers, and remembers what it heard. Created by
/// `Ivy::watch_workers`.
///
/// It hears the workers that use the same notifier and notification channel, and whose keys it has.
/// A worker that is not heard may still run: with another notifier, with its presence turned off,
/// with an older version, or without a connection to its notifier.
pub struct WorkerWatch<R> {
    notifier: Arc<dyn Notifier>,
    listener: Listener,
    subscription: Option<BoxStream<'static, SubscriptionEvent>>,
    /// When the subscription came up, if it is up.
    up_since: Option<Moment>,
    /// Subscriptions that failed or did not last, in a row, and the last reason.
    failures: u32,
    fault: Option<NotifyFault>,
    clock: Clock<R>,
    events: EventSink,
}

impl<R: Runtime> Ivy<R> {
    pub(crate) fn worker_watch(&self) -> Result<WorkerWatch<R>, Error<R>> {
        self.check_process()?;
        let notifier = self.notifier().ok_or(Cause::NoNotifier)?;
        let listener = Listener::new(self.codec().clone(), self.channel());
        Ok(WorkerWatch {
            notifier,
            listener: listener.map_err(Error::config)?,
            subscription: None,
            up_since: None,
            failures: 0,
            fault: None,
            clock: self.clock(),
            events: self.sink().clone(),
        })
    }
}

impl<R: Runtime> WorkerWatch<R> {
    /// Listens for this long, and returns what was heard so far.
    pub(crate) async fn hear(&mut self, duration: Duration) -> Result<Heard, Error<R>> {
        let until = R::now().checked_add(duration);
        let mut time_is_up = pin!(
            async {
                match until {
                    Some(until) => R::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            }
            .fuse()
        );
        loop {
            let subscription = self.subscription.get_or_insert_with(|| {
                self.notifier.subscribe(vec![self.listener.channel().clone()])
            });
            let event = match select(subscription.next(), &mut time_is_up).await {
                Either::Left((event, _)) => event,
                Either::Right(_) => break,
            };
            let ended =
                || SubscriptionEvent::Lost(NotifyFault::new(NotifyFaultKind::ConnectionLost));
            if let Err(rest) = self.handle(event.unwrap_or_else(ended)) {
                let rest = pin!(R::sleep_until(R::now() + rest));
                if let Either::Right(_) = select(rest, &mut time_is_up).await {
                    break;
                }
            }
        }
        let heard = self.listener.heard(self.clock.now());
        if heard.listened.is_zero() && heard.workers.is_empty() {
            return Err(Error::from(Cause::Notifier(self.fault.clone())));
        }
        Ok(heard)
    }

    /// Handles an event. If the subscription is lost, returns how long to wait before the next one.
    fn handle(&mut self, event: SubscriptionEvent) -> Result<(), Duration> {
        let now = self.clock.now();
        match event {
            SubscriptionEvent::Subscribed => {
                self.up_since = Some(now);
                self.listener.subscribed(now);
            }
            SubscriptionEvent::Notice { payload, .. } => {
                if let Err(why) = self.listener.hear(&payload, now) {
                    self.events.emit(Event::PresenceIgnored { why: Box::new(why) });
                }
            }
            SubscriptionEvent::Lost(fault) => {
                self.listener.lost(now);
                self.events.emit(Event::NotifierError { fault: fault.clone() });
                (self.subscription, self.fault) = (None, Some(fault));
                if self.up_since.take().is_some_and(|since| now.since(since) >= STABLE_AFTER) {
                    self.failures = 0;
                }
                let rest = Backoff::NOTIFIER.ceiling(self.failures);
                self.failures = self.failures.saturating_add(1);
                return Err(rest);
            }
        }
        Ok(())
    }
}

impl<R> fmt::Debug for WorkerWatch<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerWatch").field("notifier", &self.notifier).finish_non_exhaustive()
    }
}
