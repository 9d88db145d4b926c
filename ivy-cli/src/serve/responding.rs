//! An answer on its way. Thousands of requests wait for theirs at the same time, so that nothing is
//! kept meanwhile but what is needed then.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Response;
use hyper::header::{CONNECTION, HeaderValue};

use super::engine::Waits;
use super::faults::Spoil;
use super::no_answer::NoAnswer;
use super::reply_body::ReplyBody;
use super::socket::Client;
use super::state::Outcome;

/// An answer, if one is given.
pub(crate) type Given = Result<Response<ReplyBody>, NoAnswer>;

/// A request that was read.
#[derive(Debug)]
pub(crate) enum Read {
    /// Its answer waits.
    Waits(Waits),
    /// This is its answer.
    Answered(Given),
}

/// What turns an outcome into an answer.
pub(crate) trait Answering: Send + Sync {
    fn tell(&self, outcome: Outcome, spoil: Option<Spoil>) -> Given;
}

/// The answer to a request.
pub(crate) struct Responding<Service> {
    pub(crate) service: Arc<Service>,
    pub(crate) client: Client,
    /// Whether the connection ends after the answer. Such an answer does not wait.
    pub(crate) is_last: bool,
    pub(crate) delay: Duration,
    pub(crate) spoil: Option<Spoil>,
    pub(crate) stage: Stage,
}

/// How far it has come.
pub(crate) enum Stage {
    /// The request is read. In a box of its own, since that needs most.
    Asking(Pin<Box<dyn Future<Output = Result<Read, NoAnswer>> + Send>>),
    /// Its answer waits, until the client sends no more.
    Waiting(Waits, Pin<Box<dyn Future<Output = ()> + Send>>),
    /// It is held back.
    Late(Pin<Box<dyn Future<Output = Given> + Send>>),
}

impl<Service: Answering> Future for Responding<Service> {
    type Output = Given;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Given> {
        loop {
            let given = match &mut self.stage {
                Stage::Asking(asking) => match ready!(asking.as_mut().poll(context))? {
                    Read::Answered(given) => given,
                    Read::Waits(waits) => {
                        let end: Pin<Box<dyn Future<Output = ()> + Send>> = if self.is_last {
                            Box::pin(std::future::ready(()))
                        } else {
                            Box::pin(self.client.clone().sends_no_more())
                        };
                        self.stage = Stage::Waiting(waits, end);
                        continue;
                    }
                },
                Stage::Waiting(waits, end) => {
                    let outcome = match Pin::new(&mut *waits).poll(context) {
                        Poll::Ready(outcome) => outcome,
                        // A client that has gone looks like one that only sends no more: a message
                        // that came later would be lost with the one, and the other is answered.
                        Poll::Pending => {
                            ready!(end.as_mut().poll(context));
                            waits.end()
                        }
                    };
                    self.service.tell(outcome, self.spoil)
                }
                Stage::Late(late) => return late.as_mut().poll(context),
            };
            let given = if self.is_last { given.map(last) } else { given };
            if self.delay.is_zero() {
                return Poll::Ready(given);
            }
            let pause = tokio::time::sleep(self.delay);
            self.stage = Stage::Late(Box::pin(async move {
                pause.await;
                given
            }));
        }
    }
}

/// An answer after which the connection ends.
fn last(mut response: Response<ReplyBody>) -> Response<ReplyBody> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
