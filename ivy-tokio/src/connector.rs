//! Opens connections: TCP, with TLS over it where it is asked for.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{BoxFuture, FutureExt};
use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use ivy_driver::{InterimAnswers, Resolver, connect_first, out_of_time};
use ivy_proto::connect::{CONNECT_LIMIT, without_brackets};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::runtime::Tokio;

/// What a connection runs over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection.
pub(crate) type Stream = Box<dyn Transport>;

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    resolver: Resolver,
    tls: Option<TlsConnector>,
}

impl Connector {
    /// Connects over TLS only if it is given what that needs.
    pub(crate) fn new(tls: Option<ClientConfig>) -> Self {
        let resolve = async |host: String, port| Ok(lookup_host((host, port)).await?.collect());
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
        let connecting = async {
            let addresses = self.resolver.resolve(host, port).await?;
            let connect = TcpStream::connect::<std::net::SocketAddr>;
            let tcp = connect_first::<Tokio, _, _>(&addresses, CONNECT_LIMIT, connect).await?;
            tcp.set_nodelay(true)?;
            let stream: Stream =
                if is_secure { Box::new(self.secure(host, tcp).await?) } else { Box::new(tcp) };
            Ok(stream)
        };
        timeout(CONNECT_LIMIT, connecting).await.unwrap_or_else(|_| Err(out_of_time()))
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
            let stream = this.connect(host, port, is_secure).await?;
            Ok(HttpStream(TokioIo::new(Bounded { stream, interim: InterimAnswers::default() })))
        }
        .boxed()
    }
}

/// A connection of the HTTP client.
pub(crate) struct HttpStream(TokioIo<Bounded>);

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

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }
}

/// A stream on which a server sends few interim answers.
struct Bounded {
    stream: Stream,
    interim: InterimAnswers,
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.interim.read(&buffer.filled()[before..])?;
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

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.interim.begin();
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
}
