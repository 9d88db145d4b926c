//! The HTTP client: sends one request, and tells how that failed.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use ivy_proto::queue::{Fault, FaultKind};

use crate::tls::{OwnRoots, is_tls};

/// How long connecting to one address may take, so that a host that does not answer is known to be
/// unreachable before the request's own limit makes that a lost answer.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept: less than the 60 s after which usual load balancers close
/// it, without telling.
const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// The most headers of an answer, and the most bytes of them.
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// An HTTP/1.1 client with its pool of connections. Each long poll has a connection of its own
/// while it waits, so it delays no other request.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl HttpClient {
    pub(crate) fn new(roots: &OwnRoots) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(roots.with_public_roots())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .http1_max_headers(MAX_HEADERS)
            .http1_max_buf_size(MAX_HEADER_BYTES)
            .build(connector);
        HttpClient { client }
    }

    /// Sends a request and reads its answer, both within `time_limit`. Redirects are not followed.
    ///
    /// An answer whose body has more than `answer_limit` bytes is not read to its end. Dropping the
    /// future closes the connection.
    pub(crate) async fn send(
        &self,
        request: Request<Bytes>,
        time_limit: Duration,
        answer_limit: usize,
    ) -> Result<Response<Bytes>, Fault> {
        tokio::time::timeout(time_limit, self.exchange(request, answer_limit)).await.unwrap_or_else(
            |_| {
                let detail = format!("no whole answer within {time_limit:?}");
                Err(Fault::new(FaultKind::AnswerLost).with_detail(detail))
            },
        )
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        answer_limit: usize,
    ) -> Result<Response<Bytes>, Fault> {
        let answer = self
            .client
            .request(request.map(Full::new))
            .await
            .map_err(|error| send_fault(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, answer_limit)
            .collect()
            .await
            .map_err(|error| body_fault(error.as_ref(), answer_limit))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

fn send_fault(error: &hyper_util::client::legacy::Error) -> Fault {
    if error.is_connect() {
        let kind = if is_tls(error) { FaultKind::Tls } else { FaultKind::Unreachable };
        return Fault::new(kind).with_detail(innermost(error));
    }
    match error.source().and_then(|source| source.downcast_ref::<hyper::Error>()) {
        Some(error) => answer_fault(error),
        None => Fault::new(FaultKind::AnswerLost).with_detail(innermost(error)),
    }
}

fn body_fault(error: &(dyn std::error::Error + Send + Sync + 'static), limit: usize) -> Fault {
    if error.is::<LengthLimitError>() {
        let detail = format!("its body has more than {limit} bytes");
        return Fault::new(FaultKind::AnswerLost).with_detail(detail);
    }
    match error.downcast_ref::<hyper::Error>() {
        Some(error) => answer_fault(error),
        None => Fault::new(FaultKind::AnswerLost).with_detail(innermost(error)),
    }
}

/// A fault of what came back on a connection that stood.
fn answer_fault(error: &hyper::Error) -> Fault {
    let kind = if error.is_parse() { FaultKind::BadResponse } else { FaultKind::AnswerLost };
    Fault::new(kind).with_detail(innermost(error))
}

/// What the system, TLS or HTTP said. Outer errors only tell that it was about a client.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests;
