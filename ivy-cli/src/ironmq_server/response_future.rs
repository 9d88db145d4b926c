//! A pending response. Thousands of requests may wait at the same time, so only the state needed
//! then is kept.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Response;
use hyper::header::{CONNECTION, HeaderValue};

use super::faults::ResponseFault;
use super::no_response::NoResponse;
use super::response_body::ResponseBody;
use super::shared_state::PendingCall;
use super::socket::Client;
use super::state::Outcome;

/// A response, if one is sent.
pub(crate) type MaybeResponse = Result<Response<ResponseBody>, NoResponse>;

/// A request after it was read.
#[derive(Debug)]
pub(crate) enum RequestState {
    /// Its response is pending.
    Pending(PendingCall),
    /// Its response is complete.
    Done(MaybeResponse),
}

/// Converts an outcome into a response.
pub(crate) trait Responder: Send + Sync {
    fn response_to(&self, outcome: Outcome, fault: Option<ResponseFault>) -> MaybeResponse;
}

/// The future of a response.
pub(crate) struct ResponseFuture<Service> {
    pub(crate) service: Arc<Service>,
    pub(crate) client: Client,
    /// Whether the connection ends after the response. Such a request does not wait.
    pub(crate) is_last: bool,
    pub(crate) delay: Duration,
    pub(crate) fault: Option<ResponseFault>,
    pub(crate) stage: Stage,
}

/// The progress of a response.
pub(crate) enum Stage {
    /// The request is read. Boxed, because this stage is the largest.
    Reading(Pin<Box<dyn Future<Output = Result<RequestState, NoResponse>> + Send>>),
    /// The response is pending, until the client closes its sending side.
    Waiting(PendingCall, Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The response is delayed.
    Delayed(Pin<Box<dyn Future<Output = MaybeResponse> + Send>>),
}

impl<Service: Responder> Future for ResponseFuture<Service> {
    type Output = MaybeResponse;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<MaybeResponse> {
        loop {
            let response = match &mut self.stage {
                Stage::Reading(reading) => match ready!(reading.as_mut().poll(context))? {
                    RequestState::Done(response) => response,
                    RequestState::Pending(pending) => {
                        let end: Pin<Box<dyn Future<Output = ()> + Send>> = if self.is_last {
                            Box::pin(std::future::ready(()))
                        } else {
                            Box::pin(self.client.clone().sending_closed())
                        };
                        self.stage = Stage::Waiting(pending, end);
                        continue;
                    }
                },
                Stage::Waiting(pending, end) => {
                    let outcome = match Pin::new(&mut *pending).poll(context) {
                        Poll::Ready(outcome) => outcome,
                        // A client that has disconnected looks like one that has closed its sending
                        // side only. A message reserved later could be lost with the former, and
                        // the latter still needs a response, so the wait ends now.
                        Poll::Pending => {
                            ready!(end.as_mut().poll(context));
                            pending.end()
                        }
                    };
                    self.service.response_to(outcome, self.fault)
                }
                Stage::Delayed(delayed) => return delayed.as_mut().poll(context),
            };
            let response = if self.is_last { response.map(last) } else { response };
            if self.delay.is_zero() {
                return Poll::Ready(response);
            }
            let pause = tokio::time::sleep(self.delay);
            self.stage = Stage::Delayed(Box::pin(async move {
                pause.await;
                response
            }));
        }
    }
}

/// A response after which the connection ends.
fn last(mut response: Response<ResponseBody>) -> Response<ResponseBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
