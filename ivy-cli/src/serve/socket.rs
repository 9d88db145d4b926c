//! A connection: what HTTP reads and writes, and what tells that the client sends nothing more.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// What HTTP reads and writes.
#[derive(Debug)]
pub(crate) struct Socket {
    reader: OwnedReadHalf,
    writer: Arc<OwnedWriteHalf>,
}

/// The client at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Client(Arc<OwnedWriteHalf>);

/// Takes a connection apart.
pub(crate) fn split(stream: TcpStream) -> (Socket, Client) {
    let (reader, writer) = stream.into_split();
    let writer = Arc::new(writer);
    (Socket { reader, writer: Arc::clone(&writer) }, Client(writer))
}

impl Client {
    /// Completes when the client has closed its sending side or the whole connection, even while
    /// bytes that it sent before are still unread. HTTP would see the end only behind them.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    pub(crate) async fn sends_no_more(self) {
        // Of all interests, this one waits for the closed side and not for bytes: the system is
        // never asked to report urgent data.
        let ready = self.0.ready(tokio::io::Interest::PRIORITY).await;
        if ready.is_ok_and(|ready| !ready.is_read_closed()) {
            std::future::pending().await
        }
    }

    /// Completes when the client has closed its sending side or the whole connection. Behind bytes
    /// that are still unread, this system does not show it.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(crate) async fn sends_no_more(self) {
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

    /// The connection is closed when it is dropped, which follows at once.
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

    /// Both ends of a connection on which the client has sent a byte that nobody has read yet.
    async fn connected() -> (TcpStream, Socket, Client) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, client) = split(listener.accept().await.unwrap().0);
        far.write_all(b"x").await.unwrap();
        (far, socket, client)
    }

    #[tokio::test]
    async fn a_client_that_is_there_may_send_more() {
        let (_far, _socket, client) = connected().await;
        let waited = tokio::time::timeout(Duration::from_millis(50), client.sends_no_more());
        assert!(waited.await.is_err());
    }

    #[tokio::test]
    async fn the_end_is_seen_behind_bytes_that_are_unread() {
        let (mut far, mut socket, client) = connected().await;
        far.shutdown().await.unwrap();
        client.sends_no_more().await;
        let mut unread = Vec::new();
        socket.read_to_end(&mut unread).await.unwrap();
        assert_eq!(unread, b"x");
    }

    #[tokio::test]
    async fn a_reset_is_seen_behind_bytes_that_are_unread() {
        let (far, mut socket, client) = connected().await;
        // Whoever closes a connection with unread bytes of the other side resets it.
        socket.write_all(b"y").await.unwrap();
        far.readable().await.unwrap();
        drop(far);
        client.sends_no_more().await;
    }
}
