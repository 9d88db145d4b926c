//! A connection: the stream that HTTP uses, and a handle that detects when the client sends no
//! more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The stream that HTTP reads and writes.
#[derive(Debug)]
pub(crate) struct Socket {
    reader: OwnedReadHalf,
    writer: Arc<OwnedWriteHalf>,
}

/// The client at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<OwnedWriteHalf>);

/// Splits a connection.
pub(crate) fn split(stream: TcpStream) -> (Socket, Client) {
    let (reader, writer) = stream.into_split();
    let writer = Arc::new(writer);
    (Socket { reader, writer: Arc::clone(&writer) }, Client(writer))
}

impl Client {
    /// Completes when the client has closed its sending side or the whole connection, even if bytes
    /// that it sent before are still unread. HTTP would notice only after reading them.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) async fn sending_closed(self) {
        // This interest alone waits for the closed side and not for bytes. Urgent data is never
        // reported, because the socket is not registered for it.
        let ready = self.0.ready(tokio::io::Interest::PRIORITY).await;
        if ready.is_ok_and(|ready| !ready.is_read_closed()) {
            std::future::pending().await
        }
    }

    /// Completes when the client has closed its sending side or the whole connection. This system
    /// does not report it while bytes are still unread.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) async fn sending_closed(self) {
        let stream: &TcpStream = (*self.0).as_ref();
        if stream.peek(&mut [0]).await.is_ok_and(|bytes| bytes > 0) {
            std::future::pending().await
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        write(&self.writer, context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        write(&self.writer, context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The connection is closed when it is dropped, which follows immediately.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn write(
    writer: &OwnedWriteHalf,
    context: &mut Context<'_>,
    mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    let stream: &TcpStream = writer.as_ref();
    loop {
        ready!(stream.poll_write_ready(context))?;
        match write(stream) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            written => return Poll::Ready(written),
        }
    }
}

#[cfg(test)]
#[cfg(any(target_os = "linux", target_os = "android"))]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Both ends of a connection on which the client has sent an unread byte.
    async fn connected() -> (TcpStream, Socket, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, client) = split(listener.accept().await.unwrap().0);
        peer.write_all(b"x").await.unwrap();
        (peer, socket, client)
    }

    #[tokio::test]
    async fn a_connected_client_may_send_more() {
        let (_peer, _socket, client) = connected().await;
        let waited = tokio::time::timeout(Duration::from_millis(50), client.sending_closed());
        assert!(waited.await.is_err());
    }

    #[tokio::test]
    async fn the_end_is_detected_behind_unread_bytes() {
        let (mut peer, mut socket, client) = connected().await;
        peer.shutdown().await.unwrap();
        client.sending_closed().await;
        let mut unread = Vec::new();
        socket.read_to_end(&mut unread).await.unwrap();
        assert_eq!(unread, b"x");
    }

    #[tokio::test]
    async fn a_reset_is_detected_behind_unread_bytes() {
        let (peer, mut socket, client) = connected().await;
        // Closing a connection with unread received bytes resets it.
        socket.write_all(b"y").await.unwrap();
        peer.readable().await.unwrap();
        drop(peer);
        client.sending_closed().await;
    }
}
