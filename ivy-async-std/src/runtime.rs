//! async-std, as ivy and hyper use it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_std::net::{TcpStream, ToSocketAddrs};
use hyper::rt::{Executor, Sleep, Timer};
use ivy_driver::{
    AsyncRuntime, CancellationToken, Clients, FutureHandlers, Net, Runtime, TaskPerCallback,
};
use rustls::ClientConfig;

use crate::http::HttpClient;

/// The runtime of the names of this crate.
#[derive(Debug)]
pub enum AsyncStd {}

impl Net for AsyncStd {
    type Tcp = TcpStream;

    async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok((host.as_str(), port).to_socket_addrs().await?.collect())
    }

    async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }
}

impl Clients for AsyncStd {
    type Http = HttpClient;

    fn http(tls: Option<ClientConfig>) -> HttpClient {
        HttpClient::new(tls)
    }
}

impl Runtime for AsyncStd {
    type CancellationToken = CancellationToken;
    type Handlers = FutureHandlers<Self>;
    type Callbacks = TaskPerCallback<Self>;

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

/// Runs hyper's own tasks: those that serve connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsyncStdExecutor;

impl<Task: Future<Output = ()> + Send + 'static> Executor<Task> for AsyncStdExecutor {
    fn execute(&self, task: Task) {
        async_std::task::spawn(task);
    }
}

/// Wakes hyper when unused connections are to be closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AsyncStdTimer;

impl Timer for AsyncStdTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Sleeping(Box::pin(async_std::task::sleep(duration))))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(Instant::now()))
    }
}

struct Sleeping(Pin<Box<dyn Future<Output = ()> + Send + Sync>>);

impl Future for Sleeping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

impl Sleep for Sleeping {}
