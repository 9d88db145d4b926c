//! Opens connections: TCP, with TLS over it where it is asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_std::io::timeout;
use async_std::net::{TcpStream, ToSocketAddrs};
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_util::future::{BoxFuture, FutureExt};
use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};
use tower_service::Service;

/// How long connecting may take, so that a host that does not answer is known to be unreachable
/// before the request's own limit makes that a lost answer.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What a connection runs over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection with the traits that hyper and redis ask for. They are tokio's; no runtime of tokio
/// is needed for them.
pub(crate) type Stream = Compat<Box<dyn Transport>>;

/// Connects to a host, with TLS if its configuration is given.
pub(crate) async fn connect(
    host: &str,
    port: u16,
    tls: Option<&TlsConnector>,
) -> io::Result<Stream> {
    // The resolver and TLS want an IPv6 address without the brackets that it has in a URL.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let tcp = timeout(CONNECT_LIMIT, reach(host, port)).await?;
    tcp.set_nodelay(true)?;
    let stream: Box<dyn Transport> = match tls {
        None => Box::new(tcp),
        Some(tls) => {
            let name = ServerName::try_from(host.to_owned())
                .map_err(|error| io::Error::other(rustls::Error::General(error.to_string())))?;
            Box::new(tls.connect(name, tcp).await?)
        }
    };
    Ok(stream.compat())
}

/// Connects to the first of the host's addresses that answers. Each is given its share of the time:
/// one that says nothing must not use up that of the others.
async fn reach(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses: Vec<_> = (host, port).to_socket_addrs().await?.collect();
    let share = CONNECT_LIMIT / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Opens the connections of the HTTP client.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: Option<TlsConnector>,
}

impl Connector {
    /// Connects over TLS only if it is given what that needs.
    pub(crate) fn new(tls: Option<ClientConfig>) -> Self {
        Connector { tls: tls.map(|tls| TlsConnector::from(Arc::new(tls))) }
    }
}

impl Service<Uri> for Connector {
    type Response = HttpStream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<HttpStream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let is_secure = uri.scheme() == Some(&Scheme::HTTPS);
        let tls = self.tls.clone().filter(|_| is_secure);
        async move {
            if is_secure && tls.is_none() {
                return Err(io::Error::other("this client has no TLS"));
            }
            let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
            let stream = connect(uri.host().unwrap_or_default(), port, tls.as_ref()).await?;
            Ok(HttpStream(TokioIo::new(stream)))
        }
        .boxed()
    }
}

/// A connection of the HTTP client.
pub(crate) struct HttpStream(TokioIo<Stream>);

impl Connection for HttpStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
