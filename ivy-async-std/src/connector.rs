//! Opens connections: TCP, with TLS over it where it is asked for.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_std::io::timeout;
use async_std::net::{TcpStream, ToSocketAddrs};
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_util::future::{BoxFuture, FutureExt};
use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ivy_driver::{InterimAnswers, Resolver, connect_first};
use ivy_proto::connect::{CONNECT_LIMIT, without_brackets};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt};
use tower_service::Service;

use crate::runtime::AsyncStd;

/// What a connection runs over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection with the traits that hyper and redis ask for. They are tokio's; no runtime of tokio
/// is needed for them.
pub(crate) type Stream = Compat<Box<dyn Transport>>;

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    resolver: Resolver,
    tls: Option<TlsConnector>,
}

impl Connector {
    /// Connects over TLS only if it is given what that needs.
    pub(crate) fn new(tls: Option<ClientConfig>) -> Self {
        let resolve =
            async |host: String, port| Ok((host.as_str(), port).to_socket_addrs().await?.collect());
        Connector::with_resolver(Resolver::new(resolve), tls)
    }

    /// The same, for hosts whose addresses this resolver finds.
    pub(crate) fn with_resolver(resolver: Resolver, tls: Option<ClientConfig>) -> Self {
        Connector { resolver, tls: tls.map(|tls| TlsConnector::from(Arc::new(tls))) }
    }

    /// Connects to a host, with TLS if it is asked for.
    pub(crate) async fn connect(
        &self,
        host: &str,
        port: u16,
        is_secure: bool,
    ) -> io::Result<Stream> {
        timeout(CONNECT_LIMIT, async {
            let addresses = self.resolver.resolve(host, port).await?;
            let connect = TcpStream::connect::<SocketAddr>;
            let tcp = connect_first::<AsyncStd, _, _>(&addresses, CONNECT_LIMIT, connect).await?;
            tcp.set_nodelay(true)?;
            let stream: Box<dyn Transport> =
                if is_secure { Box::new(self.secure(host, tcp).await?) } else { Box::new(tcp) };
            Ok(stream.compat())
        })
        .await
    }

    async fn secure(&self, host: &str, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("this client has no TLS"))?;
        let name = ServerName::try_from(without_brackets(host).to_owned())
            .map_err(|error| io::Error::other(rustls::Error::General(error.to_string())))?;
        tls.connect(name, tcp).await
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
        let this = self.clone();
        async move {
            let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
            let host = uri.host().unwrap_or_default();
            let stream = this.connect(host, port, is_secure).await?.into_inner();
            let bounded = Bounded { stream, interim: InterimAnswers::default() };
            Ok(HttpStream(TokioIo::new(bounded.compat())))
        }
        .boxed()
    }
}

/// A connection of the HTTP client.
pub(crate) struct HttpStream(TokioIo<Compat<Bounded>>);

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

/// A stream on which a server sends few interim answers.
struct Bounded {
    stream: Box<dyn Transport>,
    interim: InterimAnswers,
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(length)) = &read {
            self.interim.read(&buffer[..*length])?;
        }
        read
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.interim.begin();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}
