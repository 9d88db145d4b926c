//! The runtime tokio.

use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use ivy_driver::{
    AsyncRuntime, Clients, HttpClient, Net, Runtime, TaskPerCallback, Tls, http_client,
};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::runtime::Handle;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};
use tokio_util::sync::CancellationToken;

/// The runtime of this crate's types.
///
/// ivy uses tokio's clock, so a test that pauses tokio's time pauses ivy too.
#[derive(Debug)]
pub enum Tokio {}

impl Net for Tokio {
    type Tcp = Compat<TcpStream>;
    type Listener = TcpListener;

    async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((host, port)).await?.collect())
    }

    async fn connect(address: SocketAddr) -> io::Result<Self::Tcp> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp.compat())
    }

    fn listen(socket: std::net::TcpListener) -> io::Result<TcpListener> {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket)
    }

    async fn accept(listener: &TcpListener) -> io::Result<Self::Tcp> {
        Ok(listener.accept().await?.0.compat())
    }
}

impl Clients for Tokio {
    fn http(tls: Option<Tls>) -> Option<Box<dyn HttpClient>> {
        http_client::<Self>(tls)
    }
}

impl Runtime for Tokio {
    type CancellationToken = CancellationToken;
    type Callbacks = TaskPerCallback<Self>;

    const NAME: &'static str = "tokio";

    fn instance() -> Option<u64> {
        let runtime = Handle::try_current().ok()?;
        let mut hasher = DefaultHasher::new();
        runtime.id().hash(&mut hasher);
        Some(hasher.finish())
    }

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
