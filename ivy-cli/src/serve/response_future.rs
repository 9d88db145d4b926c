//! An answer on its way. Thousands of requests wait for theirs at the same time, so that nothing is
//! kept meanwhile but what is needed then.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Response;
use hyper::header::{CONNECTION, HeaderValue};

use super::engine::PendingCall;
use super::faults::ResponseFault;
use super::no_response::NoResponse;
use super::response_body::ResponseBody;
use super::socket::Client;
use super::state::Outcome;

/// An answer, if one is given.
pub(crate) type MaybeResponse = Result<Response<ResponseBody>, NoResponse>;

/// A request that was read.
#[derive(Debug)]
pub(crate) enum Read {
    /// Its answer waits.
    Pending(PendingCall),
    /// This is its answer.
    Done(MaybeResponse),
}

/// What turns an outcome into an answer.
pub(crate) trait Responder: Send + Sync {
    fn response_to(&self, outcome: Outcome, fault: Option<ResponseFault>) -> MaybeResponse;
}

/// The answer to a request.
pub(crate) struct ResponseFuture<Service> {
    pub(crate) service: Arc<Service>,
    pub(crate) client: Client,
    /// Whether the connection ends after the answer. Such an answer does not wait.
    pub(crate) is_last: bool,
    pub(crate) delay: Duration,
    pub(crate) fault: Option<ResponseFault>,
    pub(crate) stage: Stage,
}

/// How far it has come.
pub(crate) enum Stage {
    /// The request is read. In a box of its own, since that needs most.
    Reading(Pin<Box<dyn Future<Output = Result<Read, NoResponse>> + Send>>),
    /// Its answer waits, until the client sends no more.
    Waiting(PendingCall, Pin<Box<dyn Future<Output = ()> + Send>>),
    /// It is held back.
    Late(Pin<Box<dyn Future<Output = MaybeResponse> + Send>>),
}

impl<Service: Responder> Future for ResponseFuture<Service> {
    type Output = MaybeResponse;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<MaybeResponse> {
        loop {
            let response = match &mut self.stage {
                Stage::Reading(reading) => match ready!(reading.as_mut().poll(context))? {
                    Read::Done(response) => response,
                    Read::Pending(pending) => {
                        let end: Pin<Box<dyn Future<Output = ()> + Send>> = if self.is_last {
                            Box::pin(std::future::ready(()))
                        } else {
                            Box::pin(self.client.clone().sends_no_more())
                        };
                        self.stage = Stage::Waiting(pending, end);
                        continue;
                    }
                },
                Stage::Waiting(pending, end) => {
                    let outcome = match Pin::new(&mut *pending).poll(context) {
                        Poll::Ready(outcome) => outcome,
                        // A client that has gone looks like one that only sends no more: a message
                        // that came later would be lost with the one, and the other is answered.
                        Poll::Pending => {
                            ready!(end.as_mut().poll(context));
                            pending.end()
                        }
                    };
                    self.service.response_to(outcome, self.fault)
                }
                Stage::Late(late) => return late.as_mut().poll(context),
            };
            let response = if self.is_last { response.map(last) } else { response };
            if self.delay.is_zero() {
                return Poll::Ready(response);
            }
            let pause = tokio::time::sleep(self.delay);
            self.stage = Stage::Late(Box::pin(async move {
                pause.await;
                response
            }));
        }
    }
}

/// An answer after which the connection ends.
fn last(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
