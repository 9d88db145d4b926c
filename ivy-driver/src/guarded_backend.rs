//! Guards against backends whose code may panic or never complete: that costs the operation, never
//! the producer or worker that requested it.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::{self, FutureExt};
use futures_util::stream::{self, Stream, StreamExt};
use ivy_proto::ChannelName;
use ivy_proto::backend::{BoxFuture, BoxStream, Notifier, Queue, QueueEvent, SubscriptionEvent};
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::task::discard_panic;

use crate::runtime::Runtime;
use crate::timeout::timeout;

/// How long a publication may take.
const PUBLISH_LIMIT: Duration = Duration::from_secs(10);
/// How long a subscription may take to report its first event.
const SUBSCRIBE_LIMIT: Duration = Duration::from_secs(10);

/// A queue whose operations complete within their time limits.
pub(crate) struct GuardedQueue<R> {
    queue: Arc<dyn Queue>,
    runtime: PhantomData<fn() -> R>,
}

impl<R> GuardedQueue<R> {
    pub(crate) fn new(queue: Arc<dyn Queue>) -> Self {
        GuardedQueue { queue, runtime: PhantomData }
    }
}

impl<R: Runtime> Queue for GuardedQueue<R> {
    fn capabilities(&self) -> Capabilities {
        self.queue.capabilities()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        let limit = op.time_limit();
        let executed = guarded::<R, _>(limit, || self.queue.execute(op));
        let lost = |detail| Err(Fault::new(FaultKind::ReplyLost).with_detail(detail));
        executed.map(move |result| result.unwrap_or_else(lost)).boxed()
    }

    fn watch(&self) -> Option<BoxStream<QueueEvent>> {
        let watched = catch_unwind(AssertUnwindSafe(|| self.queue.watch()))
            .map_err(describe_panic)
            .ok()??;
        // The stream ends if it panics.
        Some(CatchPanics::new(watched).filter_map(|event| future::ready(event.ok())).boxed())
    }
}

impl<R> fmt::Debug for GuardedQueue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.queue.fmt(f)
    }
}

/// A notifier whose publications complete in time and whose subscriptions end if they panic.
pub(crate) struct GuardedNotifier<R> {
    notifier: Arc<dyn Notifier>,
    runtime: PhantomData<fn() -> R>,
}

impl<R> GuardedNotifier<R> {
    pub(crate) fn new(notifier: Arc<dyn Notifier>) -> Self {
        GuardedNotifier { notifier, runtime: PhantomData }
    }
}

impl<R: Runtime> Notifier for GuardedNotifier<R> {
    fn publish(&self, publication: Publication) -> BoxFuture<Result<u64, NotifyFault>> {
        let published = guarded::<R, _>(PUBLISH_LIMIT, || self.notifier.publish(publication));
        published.map(|result| result.unwrap_or_else(|detail| Err(lost(detail)))).boxed()
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<SubscriptionEvent> {
        match catch_unwind(AssertUnwindSafe(|| self.notifier.subscribe(channels))) {
            Ok(events) => {
                let events = CatchPanics::new(events).map(|event| {
                    event.unwrap_or_else(|detail| SubscriptionEvent::Lost(lost(detail)))
                });
                stream::once(limit_first_event::<R>(events.boxed())).flatten().boxed()
            }
            Err(panic) => {
                stream::once(future::ready(SubscriptionEvent::Lost(lost(describe_panic(panic)))))
                    .boxed()
            }
        }
    }
}

impl<R> fmt::Debug for GuardedNotifier<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.notifier.fmt(f)
    }
}

fn lost(detail: &'static str) -> NotifyFault {
    NotifyFault::new(NotifyFaultKind::ConnectionLost).with_detail(detail)
}

/// The result of a backend, or why there is none.
fn guarded<R: Runtime, T: Send + 'static>(
    limit: Duration,
    start: impl FnOnce() -> BoxFuture<T>,
) -> BoxFuture<Result<T, &'static str>> {
    let started = catch_unwind(AssertUnwindSafe(start)).map_err(describe_panic);
    async move {
        let result = timeout::<R, _>(limit, CatchPanics::new(started?)).await;
        result.unwrap_or(Err("the backend did not respond in time"))
    }
    .boxed()
}

/// A subscription that is lost if it reports nothing in time.
async fn limit_first_event<R: Runtime>(
    mut events: BoxStream<SubscriptionEvent>,
) -> BoxStream<SubscriptionEvent> {
    match timeout::<R, _>(SUBSCRIBE_LIMIT, events.next()).await {
        Some(first) => stream::iter(first).chain(events).boxed(),
        None => {
            let lost = lost("the backend did not subscribe in time");
            stream::once(future::ready(SubscriptionEvent::Lost(lost))).boxed()
        }
    }
}

/// A future or stream of a backend. It may panic when polled and when dropped.
struct CatchPanics<P>(Option<P>);

impl<P> CatchPanics<P> {
    fn new(polled: P) -> Self {
        CatchPanics(Some(polled))
    }

    fn guard<T>(
        &mut self,
        poll: impl FnOnce(&mut P) -> Poll<T>,
    ) -> Poll<Option<Result<T, &'static str>>> {
        let Some(polled) = &mut self.0 else { return Poll::Ready(None) };
        match catch_unwind(AssertUnwindSafe(|| poll(polled))) {
            Ok(polled) => polled.map(|output| Some(Ok(output))),
            Err(panic) => {
                self.end();
                Poll::Ready(Some(Err(describe_panic(panic))))
            }
        }
    }

    fn end(&mut self) {
        let polled = self.0.take();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(polled))) {
            discard_panic(panic);
        }
    }
}

impl<F: Future + Unpin> Future for CatchPanics<F> {
    type Output = Result<F::Output, &'static str>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let output = ready!(self.guard(|future| future.poll_unpin(context)));
        Poll::Ready(output.unwrap_or(Err("the backend's future was polled after completion")))
    }
}

impl<S: Stream + Unpin> Stream for CatchPanics<S> {
    type Item = Result<S::Item, &'static str>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.guard(|stream| stream.poll_next_unpin(context)));
        Poll::Ready(item.and_then(Result::transpose))
    }
}

impl<P> Drop for CatchPanics<P> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The description of a panic. Its text is left out because it may contain a payload; the panic
/// hook has shown it.
pub(crate) fn describe_panic(panic: Box<dyn Any + Send>) -> &'static str {
    discard_panic(panic);
    "the backend panicked"
}

#[cfg(test)]
mod tests {
    use ivy_proto::QueueName;
    use ivy_proto::queue::Body;

    use super::*;
    use crate::testing::Tokio;

    /// The faults of a backend.
    #[derive(Clone, Copy, Debug)]
    enum BrokenBackend {
        PanicsImmediately,
        PanicsWhenPolled,
        NeverCompletes,
        PanicsWhenDropped,
    }

    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("out of cheese");
        }
    }

    impl BrokenBackend {
        fn output<T: Send + 'static>(self) -> BoxFuture<T> {
            match self {
                BrokenBackend::PanicsImmediately => panic!("out of cheese"),
                BrokenBackend::PanicsWhenPolled => Box::pin(async { panic!("out of cheese") }),
                BrokenBackend::NeverCompletes => future::pending().boxed(),
                BrokenBackend::PanicsWhenDropped => Box::pin(async {
                    let _panics = PanicsOnDrop;
                    future::pending().await
                }),
            }
        }
    }

    impl Queue for BrokenBackend {
        fn capabilities(&self) -> Capabilities {
            Capabilities::broker()
        }

        fn execute(&self, _: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
            self.output()
        }
    }

    impl Notifier for BrokenBackend {
        fn publish(&self, _: Publication) -> BoxFuture<Result<u64, NotifyFault>> {
            self.output()
        }

        fn subscribe(&self, _: Vec<ChannelName>) -> BoxStream<SubscriptionEvent> {
            stream::once(self.output()).boxed()
        }
    }

    const ALL: [(BrokenBackend, &str); 4] = [
        (BrokenBackend::PanicsImmediately, "panicked"),
        (BrokenBackend::PanicsWhenPolled, "panicked"),
        (BrokenBackend::NeverCompletes, "in time"),
        (BrokenBackend::PanicsWhenDropped, "in time"),
    ];

    #[tokio::test(start_paused = true)]
    async fn a_failed_operation_of_a_broken_queue_may_have_taken_effect() {
        for (broken, reason) in ALL {
            let queue = GuardedQueue::<Tokio>::new(Arc::new(broken));
            let op = QueueOp::Clear { queue: QueueName::new("mail").unwrap() };
            let fault = queue.execute(op).await.unwrap_err();
            assert_eq!(fault.kind(), FaultKind::ReplyLost);
            assert!(fault.to_string().contains(reason), "{fault}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_publication_of_a_broken_notifier_may_have_taken_effect() {
        for (broken, reason) in ALL {
            let notifier = GuardedNotifier::<Tokio>::new(Arc::new(broken));
            let channel = ChannelName::new("replies").unwrap();
            let publication = Publication { channel, payload: Body::new("{}") };
            let fault = notifier.publish(publication).await.unwrap_err();
            assert!(!fault.surely_not_published());
            assert!(fault.to_string().contains(reason), "{fault}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_subscription_that_panics_or_is_silent_is_lost() {
        for (broken, _) in ALL {
            let notifier = GuardedNotifier::<Tokio>::new(Arc::new(broken));
            let mut events = notifier.subscribe(Vec::new());
            assert!(matches!(events.next().await, Some(SubscriptionEvent::Lost(_))));
            assert!(events.next().await.is_none());
        }
    }
}
