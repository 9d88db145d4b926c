//! A queue on an HTTP server: executes an exchange with the HTTP client.

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::future::FutureExt;
use http::Response;
use ivy_proto::backend::{BoxFuture, Exchange, HttpRequest, MAX_REQUESTS, Queue, Step};
use ivy_proto::event::Event;
use ivy_proto::queue::{Capabilities, Fault, FaultKind, QueueOp, QueueReply};

use crate::events::EventSink;
use crate::guarded_backend::describe_panic;
use crate::runtime::{HttpClient, Runtime};

/// A queue backend over HTTP.
pub(crate) struct ExchangeQueue<R> {
    shared: Arc<Shared>,
    runtime: PhantomData<fn() -> R>,
}

struct Shared {
    client: Box<dyn HttpClient>,
    exchange: Arc<dyn Exchange>,
    events: EventSink,
}

impl<R: Runtime> ExchangeQueue<R> {
    pub(crate) fn new(
        client: Box<dyn HttpClient>,
        exchange: Arc<dyn Exchange>,
        events: EventSink,
    ) -> Self {
        let shared = Arc::new(Shared { client, exchange, events });
        ExchangeQueue { shared, runtime: PhantomData }
    }
}

impl<R: Runtime> Queue for ExchangeQueue<R> {
    fn capabilities(&self) -> Capabilities {
        self.shared.exchange.capabilities()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        let shared = Arc::clone(&self.shared);
        async move {
            let mut step = shared.start::<R>(&op);
            for _ in 0..MAX_REQUESTS {
                let request = match step {
                    Step::Done(outcome) => return outcome,
                    Step::Send(request) => request,
                };
                step = shared.next::<R>(&op, request).await?;
            }
            match step {
                Step::Done(outcome) => outcome,
                Step::Send(_) => {
                    let detail = format!("not complete after {MAX_REQUESTS} requests");
                    Err(Fault::new(FaultKind::BadReply).with_detail(detail))
                }
            }
        }
        .boxed()
    }
}

impl Shared {
    fn start<R: Runtime>(&self, op: &QueueOp) -> Step {
        guarded(|| self.exchange.start(op, R::unix_time()))
    }

    /// Sends a request and returns the next step, derived from its response.
    async fn next<R: Runtime>(&self, op: &QueueOp, request: HttpRequest) -> Result<Step, Fault> {
        let authority = request.request.uri().authority();
        let server = authority.map(ToString::to_string).unwrap_or_default();
        let stage = request.stage;
        let response = self.client.send(request).await;
        let advise = |fault: Fault| match self.exchange.advice(fault.kind()) {
            Some(advice) => fault.with_advice(advice),
            None => fault,
        };
        let response = response.map_err(|fault| advise(fault.with_server(&server)))?;
        Ok(guarded(|| self.read::<R>(op, stage, response)))
    }

    fn read<R: Runtime>(&self, op: &QueueOp, stage: u8, response: Response<bytes::Bytes>) -> Step {
        self.exchange.read(op, stage, response, R::unix_time(), &mut |deviation| {
            self.events.emit(Event::UnexpectedResponse { queue: op.queue().cloned(), deviation });
        })
    }
}

/// Limits the effect of a panic in an exchange to one operation.
fn guarded(step: impl FnOnce() -> Step) -> Step {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| {
        Step::Done(Err(Fault::new(FaultKind::ReplyLost).with_detail(describe_panic(panic))))
    })
}

impl<R> fmt::Debug for ExchangeQueue<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shared.exchange.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::future::ready;
    use http::Request;
    use ivy_proto::QueueName;
    use ivy_proto::queue::ResponseDeviation;

    use super::*;
    use crate::clock::Clock;
    use crate::testing::Tokio;

    /// A server whose responses are empty.
    #[derive(Debug)]
    struct Empty;

    impl HttpClient for Empty {
        fn send(&self, _: HttpRequest) -> BoxFuture<Result<Response<Bytes>, Fault>> {
            ready(Ok(Response::new(Bytes::new()))).boxed()
        }
    }

    /// An exchange that needs this many requests for an operation.
    #[derive(Clone, Copy, Debug)]
    enum Scripted {
        Needs(u8),
        Panics,
    }

    impl Exchange for Scripted {
        fn capabilities(&self) -> Capabilities {
            Capabilities::broker()
        }

        fn is_secure(&self) -> bool {
            false
        }

        fn start(&self, _: &QueueOp, _: Duration) -> Step {
            Step::Send(HttpRequest::new(Request::default()).with_stage(1))
        }

        fn read(
            &self,
            _: &QueueOp,
            stage: u8,
            _: Response<Bytes>,
            _: Duration,
            note: &mut dyn FnMut(ResponseDeviation),
        ) -> Step {
            match *self {
                Scripted::Needs(requests) if requests == stage => {
                    note(ResponseDeviation::NoMessages);
                    Step::Done(Ok(QueueReply::Cleared))
                }
                Scripted::Needs(_) => {
                    Step::Send(HttpRequest::new(Request::default()).with_stage(stage + 1))
                }
                Scripted::Panics => panic!("out of cheese"),
            }
        }
    }

    fn mail() -> QueueName {
        QueueName::new("mail").unwrap()
    }

    async fn cleared(exchange: Scripted, events: EventSink) -> Result<QueueReply, Fault> {
        let queue = ExchangeQueue::<Tokio>::new(Box::new(Empty), Arc::new(exchange), events);
        queue.execute(QueueOp::Clear { queue: mail() }).await
    }

    #[tokio::test]
    async fn an_accepted_deviation_of_a_response_is_reported_once() {
        let events = EventSink::new(Clock::<Tokio>::start());
        let mut watcher = events.watch::<Tokio>();
        assert_eq!(cleared(Scripted::Needs(1), events).await, Ok(QueueReply::Cleared));
        let expected = Event::UnexpectedResponse {
            queue: Some(mail()),
            deviation: ResponseDeviation::NoMessages,
        };
        assert_eq!(watcher.next().await, Some(expected));
        assert_eq!(watcher.next().await, None);
    }

    #[tokio::test]
    async fn an_operation_sends_as_many_requests_as_needed_up_to_a_limit() {
        let events = || EventSink::new(Clock::<Tokio>::start());
        assert_eq!(cleared(Scripted::Needs(4), events()).await, Ok(QueueReply::Cleared));
        let fault = cleared(Scripted::Needs(5), events()).await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::BadReply);
    }

    #[tokio::test]
    async fn a_panic_of_an_exchange_costs_its_operation() {
        let events = EventSink::new(Clock::<Tokio>::start());
        let fault = cleared(Scripted::Panics, events).await.unwrap_err();
        assert_eq!(fault.kind(), FaultKind::ReplyLost);
    }
}
