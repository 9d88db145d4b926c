//! Byte streams for hyper.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::io::{AsyncRead, AsyncWrite};
use hyper::rt::{Read, ReadBufCursor, Write};

use crate::remote::informational_responses::InformationalResponses;
use crate::remote::stream::BoxedStream;

/// The maximum number of bytes that one read returns.
const PIECE: usize = 16 * 1024;

/// The byte stream of a connection, which limits the server's interim responses.
pub(super) struct HttpStream {
    link: BoxedStream,
    informational: InformationalResponses,
    /// The buffer that bytes are read into, because hyper's own is not initialized.
    piece: Box<[u8]>,
}

impl HttpStream {
    pub(super) fn new(link: BoxedStream) -> Self {
        let (informational, piece) =
            (InformationalResponses::default(), vec![0; PIECE].into_boxed_slice());
        HttpStream { link, informational, piece }
    }
}

impl Read for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let HttpStream { link, informational, piece } = &mut *self;
        let room = buffer.remaining().min(piece.len());
        let length = ready!(Pin::new(link).poll_read(context, &mut piece[..room]))?;
        let bytes = &piece[..length];
        informational.read(bytes)?;
        buffer.put_slice(bytes);
        Poll::Ready(Ok(()))
    }
}

impl Write for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.informational.begin();
        Pin::new(&mut self.link).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.link).poll_close(context)
    }
}
