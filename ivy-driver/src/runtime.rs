//! What ivy needs of a runtime.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::io::{AsyncRead, AsyncWrite};
use http::Response;
use ivy_proto::backend::HttpRequest;
use ivy_proto::queue::Fault;

use crate::tls::Tls;

/// The network.
pub trait Net: Send + Sync + 'static {
    /// A TCP connection. Sending and receiving do not wait for each other.
    type Tcp: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The addresses of a host, which is a name or an address.
    fn resolve(host: String, port: u16)
    -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Connects to an address, without a delay for small pieces (`TCP_NODELAY`). Dropping the future
    /// cancels the attempt.
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Tcp>> + Send;
}

/// The clients that reach servers.
pub trait Clients: Net {
    /// An HTTP client, with what it needs to trust a server if it is to speak TLS. It connects when
    /// the first request is sent. Nothing if none is compiled in.
    ///
    /// That of an async runtime is [`http_client`](crate::http_client).
    fn http(tls: Option<Tls>) -> Option<Box<dyn HttpClient>>;
}

/// An HTTP/1.1 client with a pool of connections.
pub trait HttpClient: fmt::Debug + Send + Sync + 'static {
    /// Sends a request and reads its answer. Redirects are not followed. Dropping the future gives
    /// the request up, and closes its connection.
    fn send(&self, request: HttpRequest) -> BoxFuture<'static, Result<Response<Bytes>, Fault>>;
}

/// What carries out the work of producers and workers: an async runtime, or threads.
pub trait Runtime: Clients + Sized {
    /// What tells a handler to stop.
    type CancellationToken: Clone + fmt::Debug + Default + Send + Sync + 'static;
    /// What runs the callbacks of results.
    type Callbacks: Callbacks;

    /// The time, on the clock that [`sleep_until`](Runtime::sleep_until) follows.
    fn now() -> Instant {
        Instant::now()
    }

    /// What the clock on the wall shows, as the time since 1970-01-01T00:00:00Z.
    fn unix_time() -> Duration {
        // A clock set before 1970 is wrong by so much that zero is as good.
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// Sleeps until this time.
    fn sleep_until(until: Instant) -> impl Future<Output = ()> + Send;

    /// Runs a future in the background. The name is for people who look at threads.
    ///
    /// # Errors
    /// If the system gives no means to run it.
    fn spawn(
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()>;

    /// Cancels a token.
    fn cancel(token: &Self::CancellationToken);

    /// Whether a token is cancelled.
    fn is_cancelled(token: &Self::CancellationToken) -> bool;
}

/// A runtime of futures. An adapter for another one is this trait, with those that it builds on.
pub trait AsyncRuntime: Runtime {
    /// Waits until a token is cancelled. Dropping the future loses nothing.
    fn cancelled(token: &Self::CancellationToken) -> impl Future<Output = ()> + Send;
}

/// What runs the callbacks of results. They may take long, block and panic.
pub trait Callbacks: fmt::Debug + Default + Send + 'static {
    /// Runs one.
    fn run(&self, callback: impl FnOnce() + Send + 'static);
}
