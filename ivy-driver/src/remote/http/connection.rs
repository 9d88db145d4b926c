//! Connections for hyper.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::io::{AsyncRead, AsyncWrite};
use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{self, Connected};
use ivy_proto::backend::Endpoint;
use tower_service::Service;

use crate::remote::informational_responses::InformationalResponses;
use crate::remote::stream::{self, BoxedStream};
use crate::runtime::Runtime;
use crate::tls::Tls;

/// The most bytes that one read returns.
const PIECE: usize = 16 * 1024;

/// Opens connections.
#[derive(Clone)]
pub(super) struct Connector {
    open: fn(Endpoint, Option<Tls>) -> BoxFuture<'static, io::Result<BoxedStream>>,
    tls: Option<Tls>,
}

impl Connector {
    pub(super) fn new<R: Runtime>(tls: Option<Tls>) -> Self {
        Connector { open: |endpoint, tls| stream::open::<R>(endpoint, tls).boxed(), tls }
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Connection>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let host = uri.host().unwrap_or_default().to_owned();
        let opening = (self.open)(Endpoint { host, port, tls }, self.tls.clone());
        async { Ok(Connection::new(opening.await?)) }.boxed()
    }
}

/// A connection that limits the server's interim responses.
pub(super) struct Connection {
    stream: BoxedStream,
    informational: InformationalResponses,
    /// The buffer that bytes are read into, because hyper's own is not initialized.
    piece: Box<[u8]>,
}

impl Connection {
    fn new(stream: BoxedStream) -> Self {
        let (informational, piece) =
            (InformationalResponses::default(), vec![0; PIECE].into_boxed_slice());
        Connection { stream, informational, piece }
    }
}

impl connect::Connection for Connection {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Connection { stream, informational, piece } = &mut *self;
        let room = buffer.remaining().min(piece.len());
        let length = ready!(Pin::new(stream).poll_read(context, &mut piece[..room]))?;
        let bytes = &piece[..length];
        informational.read(bytes)?;
        buffer.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl Write for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.informational.begin();
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}
