//! The HTTP client: sends one request, and tells how that failed.

use std::error::Error as _;
use std::time::Duration;

use async_std::future::timeout;
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use ivy_driver::{HttpRequest, is_tls};
use ivy_proto::queue::{Fault, FaultKind};
use rustls::ClientConfig;

use crate::connector::Connector;
use crate::runtime::{AsyncStdExecutor, AsyncStdTimer};

/// How long an unused connection is kept: less than the 60 s after which usual load balancers close
/// it, without telling.
const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// The most headers of an answer, and the most bytes of them.
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// An HTTP/1.1 client with its pool of connections. Each long poll has a connection of its own
/// while it waits, so it delays no other request.
#[derive(Clone, Debug)]
pub struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
}

impl HttpClient {
    pub(crate) fn new(tls: Option<ClientConfig>) -> Self {
        HttpClient::over(Connector::new(tls))
    }

    fn over(connector: Connector) -> Self {
        let client = Client::builder(AsyncStdExecutor)
            .pool_timer(AsyncStdTimer)
            .pool_idle_timeout(IDLE_LIMIT)
            .http1_max_headers(MAX_HEADERS)
            .http1_max_buf_size(MAX_HEADER_BYTES)
            .build(connector);
        HttpClient { client }
    }

    async fn exchange(
        &self,
        request: Request<Bytes>,
        response_limit: usize,
    ) -> Result<Response<Bytes>, Fault> {
        let answer = self
            .client
            .request(request.map(Full::new))
            .await
            .map_err(|error| send_fault(&error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, response_limit)
            .collect()
            .await
            .map_err(|error| body_fault(error.as_ref(), response_limit))?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

impl ivy_driver::HttpClient for HttpClient {
    fn send(&self, request: HttpRequest) -> BoxFuture<'static, Result<Response<Bytes>, Fault>> {
        let this = self.clone();
        let HttpRequest { request, time_limit, response_limit, .. } = request;
        async move {
            let exchange = this.exchange(request, response_limit);
            timeout(time_limit, exchange).await.unwrap_or_else(|_| {
                let detail = format!("no whole answer within {time_limit:?}");
                Err(Fault::new(FaultKind::AnswerLost).with_detail(detail))
            })
        }
        .boxed()
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
