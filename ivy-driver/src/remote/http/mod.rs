//! The HTTP client: hyper, over the runtime's connections, tasks and time. It sends one request and
//! reports how that failed.

mod connection;
mod fault;
mod pool;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use http::header::{HOST, HeaderValue};
use http::uri::{PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use http_body_util::Full;
use ivy_proto::backend::{Endpoint, HttpRequest};
use ivy_proto::queue::{Fault, FaultKind};

use crate::runtime::{HttpClient, Runtime};
use crate::timeout::timeout;
use crate::tls::Tls;

use connection::{Connection, Failure};
use fault::open_fault;
use pool::Pool;

/// Hyper's HTTP/1.1 with a pool of connections. Each request in flight has a connection of its own,
/// so neither a long poll nor any other request delays another.
pub(super) struct Hyper<R> {
    tls: Option<Tls>,
    pool: Arc<Pool>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Hyper<R> {
    pub(super) fn new(tls: Option<Tls>) -> Self {
        Hyper { tls, pool: Arc::default(), runtime: PhantomData }
    }
}

impl<R: Runtime> HttpClient for Hyper<R> {
    fn send(&self, request: HttpRequest) -> BoxFuture<'static, Result<Response<Bytes>, Fault>> {
        let (tls, pool) = (self.tls.clone(), Arc::clone(&self.pool));
        async move {
            let time_limit = request.time_limit;
            let mut is_connected = false;
            let exchange = exchange::<R>(request, tls, pool, &mut is_connected);
            if let Some(response) = timeout::<R, _>(time_limit, exchange).await {
                return response;
            }
            Err(match is_connected {
                true => Fault::new(FaultKind::ReplyLost)
                    .with_detail(format!("no complete response within {time_limit:?}")),
                false => Fault::new(FaultKind::Unreachable)
                    .with_detail(format!("no connection within {time_limit:?}")),
            })
        }
        .boxed()
    }
}

impl<R> fmt::Debug for Hyper<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hyper").field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// Sends a request on an idle connection, or on a new one if there is none. An idle connection that
/// the server closes before the request is sent is replaced by the next.
async fn exchange<R: Runtime>(
    request: HttpRequest,
    tls: Option<Tls>,
    pool: Arc<Pool>,
    is_connected: &mut bool,
) -> Result<Response<Bytes>, Fault> {
    let HttpRequest { request, response_limit, .. } = request;
    let endpoint = endpoint_of(request.uri());
    let mut request = of_origin(request).map(Full::new);
    loop {
        let reused = pool.take(&endpoint, R::now());
        let is_new = reused.is_none();
        let mut connection = match reused {
            Some(connection) => connection,
            None => {
                // Boxed: it is rare, and every request would be moved with its kilobytes of state.
                let opening = Connection::open::<R>(endpoint.clone(), tls.clone()).boxed();
                opening.await.map_err(|error| open_fault(&error))?
            }
        };
        *is_connected = true;
        match connection.exchange(request, response_limit).await {
            Ok(response) => {
                pool.keep::<R>(endpoint, connection);
                return Ok(response);
            }
            Err(Failure::Unsent(unsent, fault)) => {
                if is_new {
                    return Err(fault);
                }
                *is_connected = false;
                request = *unsent;
            }
            Err(Failure::Sent(fault)) => return Err(fault),
        }
    }
}

fn endpoint_of(uri: &Uri) -> Endpoint {
    let tls = uri.scheme() == Some(&Scheme::HTTPS);
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    Endpoint { host: uri.host().unwrap_or_default().to_owned(), port, tls }
}

/// The request in the form in which it is sent to the server itself: with a path as its target and
/// a `Host`.
fn of_origin(mut request: Request<Bytes>) -> Request<Bytes> {
    let path = request.uri().path_and_query().cloned();
    let path = path.unwrap_or_else(|| PathAndQuery::from_static("/"));
    let uri = std::mem::replace(request.uri_mut(), path.into());
    let host = uri.host().unwrap_or_default();
    let host = match uri.port() {
        Some(port) => HeaderValue::try_from(format!("{host}:{port}")),
        None => HeaderValue::from_str(host),
    };
    if let Ok(host) = host {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    request
}
