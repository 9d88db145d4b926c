//! tokio, as ivy uses it.

use std::future::Future;
use std::io;
use std::time::Instant;

use ivy_driver::{AsyncRuntime, Clients, FutureHandlers, RedisServer, Runtime, TaskPerCallback};
use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;

use crate::http::HttpClient;
use crate::redis::RedisNotifier;

/// The runtime of the names of this crate.
///
/// ivy follows tokio's clock, so a test that pauses tokio's time pauses ivy as well.
#[derive(Debug)]
pub enum Tokio {}

impl Clients for Tokio {
    type Http = HttpClient;
    type Redis = RedisNotifier;

    fn http(tls: Option<ClientConfig>) -> HttpClient {
        HttpClient::new(tls)
    }

    fn redis(server: RedisServer, tls: Option<ClientConfig>) -> RedisNotifier {
        RedisNotifier::new(server, tls)
    }
}

impl Runtime for Tokio {
    type CancellationToken = CancellationToken;
    type Handlers = FutureHandlers<Self>;
    type Callbacks = TaskPerCallback<Self>;

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep_until(until: Instant) -> impl Future<Output = ()> + Send {
        tokio::time::sleep_until(until.into())
    }

    fn spawn(_: &'static str, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        tokio::spawn(future);
        Ok(())
    }

    fn cancel(token: &CancellationToken) {
        token.cancel();
    }

    fn is_cancelled(token: &CancellationToken) -> bool {
        token.is_cancelled()
    }
}

impl AsyncRuntime for Tokio {
    fn cancelled(token: &CancellationToken) -> impl Future<Output = ()> + Send {
        token.cancelled()
    }
}
