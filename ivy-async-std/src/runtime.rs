//! The runtime async-std.

use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;

use async_std::net::{TcpListener, TcpStream, ToSocketAddrs};
use ivy_driver::{
    AsyncRuntime, CancellationToken, Clients, HttpClient, Net, Runtime, TaskPerCallback, Tls,
    http_client,
};

/// The runtime of this crate's types.
#[derive(Debug)]
pub enum AsyncStd {}

impl Net for AsyncStd {
    type Tcp = TcpStream;
    type Listener = TcpListener;

    async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host.as_str(), port).to_socket_addrs().await?.collect())
    }

    async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }

    fn listen(socket: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(socket.into())
    }

    async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
        Ok(listener.accept().await?.0)
    }

    async fn end_sending(tcp: &mut TcpStream) -> io::Result<()> {
        tcp.shutdown(Shutdown::Write)
    }
}

impl Clients for AsyncStd {
    fn http(tls: Option<Tls>) -> Option<Box<dyn HttpClient>> {
        http_client::<Self>(tls)
    }
}

impl Runtime for AsyncStd {
    type CancellationToken = CancellationToken;
    type Callbacks = TaskPerCallback<Self>;

    const NAME: &'static str = "async-std";

    fn sleep_until(until: Instant) -> impl Future<Output = ()> + Send {
        async_std::task::sleep(until.saturating_duration_since(Instant::now()))
    }

    fn spawn(_: &'static str, future: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        async_std::task::spawn(future);
        Ok(())
    }

    fn cancel(token: &CancellationToken) {
        token.cancel();
    }

    fn is_cancelled(token: &CancellationToken) -> bool {
        token.is_cancelled()
    }
}

impl AsyncRuntime for AsyncStd {
    fn cancelled(token: &CancellationToken) -> impl Future<Output = ()> + Send {
        token.cancelled()
    }
}
