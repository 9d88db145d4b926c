//! The HTTP client of async runtimes: hyper, over the runtime's connections, tasks and time. It
//! sends one request and reports how that failed.

mod connection;
mod runtime;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::{Client, Error};
use ivy_proto::backend::HttpRequest;
use ivy_proto::queue::{Fault, FaultKind};

use crate::runtime::{HttpClient, Runtime};
use crate::timeout::timeout;
use crate::tls::{Tls, is_tls};

use connection::Connector;
use runtime::HyperRuntime;

/// How long an idle connection is kept: less than the 60 s after which common load balancers drop
/// it silently.
const IDLE_LIMIT: Duration = Duration::from_secs(50);
/// The most headers of a response, and the most bytes of them.
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Hyper with its connection pool. Each long poll occupies a connection of its own while it waits,
/// so it delays no other request.
pub(super) struct Hyper<R> {
    client: HyperClient,
    runtime: PhantomData<fn() -> R>,
}

/// Independent of the runtime's type, so it is compiled once.
type HyperClient = Client<Connector, Full<Bytes>>;

impl<R: Runtime> Hyper<R> {
    pub(super) fn new(tls: Option<Tls>) -> Self {
        let client = client(Connector::new::<R>(tls), HyperRuntime::of::<R>());
        Hyper { client, runtime: PhantomData }
    }
}

fn client(connector: Connector, runtime: HyperRuntime) -> HyperClient {
    Client::builder(runtime)
        .pool_timer(runtime)
        .pool_idle_timeout(IDLE_LIMIT)
        .http1_max_headers(MAX_HEADERS)
        .http1_max_buf_size(MAX_HEADER_BYTES)
        .build(connector)
}

impl<R: Runtime> HttpClient for Hyper<R> {
    fn send(&self, request: HttpRequest) -> BoxFuture<'static, Result<Response<Bytes>, Fault>> {
        let HttpRequest { request, time_limit, response_limit, .. } = request;
        let exchange = exchange(self.client.clone(), request, response_limit);
        async move {
            timeout::<R, _>(time_limit, exchange).await.unwrap_or_else(|| {
                let detail = format!("no complete response within {time_limit:?}");
                Err(Fault::new(FaultKind::ResponseLost).with_detail(detail))
            })
        }
        .boxed()
    }
}

impl<R> fmt::Debug for Hyper<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hyper")
    }
}

async fn exchange(
    client: HyperClient,
    request: Request<Bytes>,
    response_limit: usize,
) -> Result<Response<Bytes>, Fault> {
    let response =
        client.request(request.map(Full::new)).await.map_err(|error| send_fault(&error))?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, response_limit)
        .collect()
        .await
        .map_err(|error| body_fault(error.as_ref(), response_limit))?;
    Ok(Response::from_parts(head, body.to_bytes()))
}

fn send_fault(error: &Error) -> Fault {
    if error.is_connect() {
        let kind = if is_tls(error) { FaultKind::Tls } else { FaultKind::Unreachable };
        return Fault::new(kind).with_detail(innermost(error));
    }
    match error.source().and_then(|source| source.downcast_ref::<hyper::Error>()) {
        Some(error) => response_fault(error),
        None => Fault::new(FaultKind::ResponseLost).with_detail(innermost(error)),
    }
}

fn body_fault(error: &(dyn std::error::Error + Send + Sync + 'static), limit: usize) -> Fault {
    if error.is::<LengthLimitError>() {
        let detail = format!("its body has more than {limit} bytes");
        return Fault::new(FaultKind::ResponseLost).with_detail(detail);
    }
    match error.downcast_ref::<hyper::Error>() {
        Some(error) => response_fault(error),
        None => Fault::new(FaultKind::ResponseLost).with_detail(innermost(error)),
    }
}

/// The fault of a response that failed on an established connection.
fn response_fault(error: &hyper::Error) -> Fault {
    let kind = if error.is_parse() { FaultKind::BadResponse } else { FaultKind::ResponseLost };
    Fault::new(kind).with_detail(innermost(error))
}

/// The error of the system, TLS or HTTP. The outer errors only say that a client failed.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
