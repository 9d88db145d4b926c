//! The traits that a runtime implements.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use http::Response;
use ivy_proto::backend::HttpRequest;
use ivy_proto::queue::Fault;

use crate::tls::Tls;

/// Name resolution and TCP connections.
pub trait Net: Send + Sync + 'static {
    /// A TCP connection. Reading and writing are independent of each other.
    type Tcp: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// A socket that accepts connections. Dropping it closes the socket.
    type Listener: Send + Sync + 'static;

    /// The addresses of a host, given as a name or an address.
    fn resolve(host: String, port: u16)
    -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    /// Connects to an address, with `TCP_NODELAY`. Dropping the future cancels the attempt.
    fn connect(address: SocketAddr) -> impl Future<Output = io::Result<Self::Tcp>> + Send;

    /// Prepares a socket that listens, and blocks, for this runtime.
    fn listen(socket: TcpListener) -> io::Result<Self::Listener>;

    /// Accepts the next connection. Dropping the future loses none.
    fn accept(listener: &Self::Listener) -> impl Future<Output = io::Result<Self::Tcp>> + Send;

    /// Ends a connection in the direction of sending. For connections whose `poll_close` does not.
    fn end_sending(tcp: &mut Self::Tcp) -> impl Future<Output = io::Result<()>> + Send {
        tcp.close()
    }
}

/// The clients of servers.
pub trait Clients: Net {
    /// Creates an HTTP client, with a TLS configuration if it must support TLS. It connects when
    /// the first request is sent. `None` if no client is compiled in.
    ///
    /// This is [`http_client`](crate::http_client), unless the runtime has a client of its own.
    fn http(tls: Option<Tls>) -> Option<Box<dyn HttpClient>>;
}

/// An HTTP/1.1 client with a pool of connections. No request waits for another: a long poll may take
/// a minute, and a renewal is useless once the lease has ended.
pub trait HttpClient: fmt::Debug + Send + Sync + 'static {
    /// Sends a request and reads its response, without following redirects. Dropping the future
    /// cancels the request and closes its connection.
    fn send(&self, request: HttpRequest) -> BoxFuture<'static, Result<Response<Bytes>, Fault>>;
}

/// Executes the outputs of producers and workers: an async runtime, or threads.
pub trait Runtime: Clients + Sized {
    /// Signals cancellation to a handler.
    type CancellationToken: Clone + fmt::Debug + Default + Send + Sync + 'static;
    /// Runs the callbacks of results.
    type Callbacks: Callbacks;

    /// The name of the runtime, for display.
    const NAME: &'static str = "custom";

    /// Identifies the runtime that the caller runs in, if a process may have several of this type,
    /// each with its own clock and tasks. `None` outside of a runtime. An `Ivy` shares a memory by name
    /// with those in the same runtime.
    fn instance() -> Option<u64> {
        Some(0)
    }

    /// The current time, on the clock that [`sleep_until`](Runtime::sleep_until) uses.
    fn now() -> Instant {
        Instant::now()
    }

    /// The wall clock, as the time since 1970-01-01T00:00:00Z.
    fn unix_time() -> Duration {
        // A clock set before 1970 is wrong anyway.
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    /// Sleeps until this time.
    fn sleep_until(until: Instant) -> impl Future<Output = ()> + Send;

    /// Runs a future in the background. The name identifies its thread for people.
    ///
    /// # Errors
    /// If the system cannot run it.
    fn spawn(
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()>;

    /// Cancels a token.
    fn cancel(token: &Self::CancellationToken);

    /// Whether a token is cancelled.
    fn is_cancelled(token: &Self::CancellationToken) -> bool;
}

/// A runtime of futures. An adapter for another runtime implements this trait and its supertraits.
pub trait AsyncRuntime: Runtime {
    /// Waits until a token is cancelled. Must be cancel safe.
    fn cancelled(token: &Self::CancellationToken) -> impl Future<Output = ()> + Send;
}

/// Runs the callbacks of results, which may take long, block and panic.
pub trait Callbacks: fmt::Debug + Default + Send + 'static {
    /// Runs a callback.
    fn run(&self, callback: impl FnOnce() + Send + 'static);
}
