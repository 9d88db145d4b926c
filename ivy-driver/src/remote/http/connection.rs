//! A connection that sends one request after another.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Waker};

use bytes::Bytes;
use futures_util::future::FutureExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use ivy_proto::backend::Endpoint;
use ivy_proto::queue::Fault;

use super::fault::{body_fault, response_fault};
use super::stream::HttpStream;
use crate::remote::stream;
use crate::runtime::Runtime;
use crate::tls::Tls;

/// The maximum number of headers of a response, and their maximum size, in bytes.
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// A connection of hyper, polled by the request that uses it instead of a task of its own: a
/// response causes no switch between tasks, and on threads a connection needs no thread but the
/// reading one. Dropping it closes it.
pub(super) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    hyper: Option<Box<http1::Connection<HttpStream, Full<Bytes>>>>,
}

/// Why there is no response.
pub(super) enum Failure {
    /// The connection ended before any of the request was sent.
    Unsent(Box<Request<Full<Bytes>>>, Fault),
    /// The request may have been executed.
    Sent(Fault),
}

impl Connection {
    /// Opens a connection.
    ///
    /// # Errors
    /// If it fails, no application data was sent.
    pub(super) async fn open<R: Runtime>(endpoint: Endpoint, tls: Option<Tls>) -> io::Result<Self> {
        let stream = HttpStream::new(stream::open::<R>(endpoint, tls).await?);
        let mut builder = http1::Builder::new();
        builder.max_headers(MAX_HEADERS).max_buf_size(MAX_HEADER_BYTES);
        let (requests, hyper) = builder.handshake(stream).await.map_err(io::Error::other)?;
        Ok(Connection { requests, hyper: Some(Box::new(hyper)) })
    }

    /// Sends a request and reads its response. If the future is dropped, the connection must not be
    /// used again.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        response_limit: usize,
    ) -> Result<Response<Bytes>, Failure> {
        let sending = self.requests.try_send_request(request);
        let mut response = pin!(async move {
            let response = sending.await.map_err(|mut error| {
                let fault = response_fault(error.error());
                match error.take_message() {
                    Some(request) => Failure::Unsent(Box::new(request), fault),
                    None => Failure::Sent(fault),
                }
            })?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, response_limit).collect().await;
            let body =
                body.map_err(|error| Failure::Sent(body_fault(error.as_ref(), response_limit)))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        });
        poll_fn(|context| {
            // The connection first: the response consists of what that reads.
            poll_until_ended(&mut self.hyper, context);
            response.as_mut().poll(context)
        })
        .await
    }

    /// Whether it can send another request, as far as is known. Wakes the waker when that changes.
    pub(super) fn is_open(&mut self, waker: &Waker) -> bool {
        poll_until_ended(&mut self.hyper, &mut Context::from_waker(waker));
        self.hyper.is_some() && self.requests.is_ready()
    }
}

/// Polls a connection and drops it when it has ended. Its failure is reported to the request.
fn poll_until_ended<F: Future + Unpin>(connection: &mut Option<F>, context: &mut Context<'_>) {
    if let Some(polled) = connection
        && polled.poll_unpin(context).is_ready()
    {
        *connection = None;
    }
}
