//! TCP connections for futures: one thread reads, and the polling thread writes.

use std::fmt;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_channel::oneshot;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::io::{AsyncRead, AsyncWrite};
use ivy_driver::internal::{run_woken_by, spawn};
use ivy_proto::connect::CONNECT_LIMIT;

use crate::reading::{Incoming, read};

/// The addresses of a host.
pub(crate) async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    in_thread("ivy-resolve", move || Ok((host, port).to_socket_addrs()?.collect())).await
}

/// Opens a connection to an address.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<Tcp> {
    let connect = move || TcpStream::connect_timeout(&address, CONNECT_LIMIT);
    let socket = in_thread("ivy-connect", connect).await?;
    socket.set_nodelay(true)?;
    Tcp::start(socket)
}

pub(crate) async fn in_thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (give, given) = oneshot::channel();
    spawn(name, move || {
        let done = work();
        // The caller may be gone.
        let _ = run_woken_by(|| give.send(done));
    })?;
    given.await.unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
}

/// A connection. Dropping it closes the socket and ends its threads.
pub struct Tcp {
    socket: Arc<TcpStream>,
    incoming: Arc<Incoming>,
    /// Waits, in a thread, until a full send buffer has room.
    blocked: Option<BoxFuture<'static, io::Result<()>>>,
}

impl Tcp {
    /// Starts the thread that reads.
    pub(crate) fn start(socket: TcpStream) -> io::Result<Self> {
        let socket = Arc::new(socket);
        let incoming = Arc::new(Incoming::new());
        let (read_from, pieces) = (Arc::clone(&socket), Arc::clone(&incoming));
        spawn("ivy-reader", move || read(&read_from, &pieces))?;
        Ok(Tcp { socket, incoming, blocked: None })
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.incoming.poll_read(context, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(blocked) = &mut self.blocked {
                let waited = ready!(blocked.poll_unpin(context));
                self.blocked = None;
                waited?;
            }
            match send(&self.socket, bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let socket = Arc::clone(&self.socket);
                    let waiting = in_thread("ivy-writer", move || wait_for_room(&socket));
                    self.blocked = Some(waiting.boxed());
                }
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket.shutdown(Shutdown::Write))
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        // It fails only if the connection has already ended.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.incoming.close();
    }
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Sends as much as fits without blocking.
#[cfg(unix)]
fn send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    use rustix::net::SendFlags;

    Ok(rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
}

/// Waits until the connection is writable, or has ended.
#[cfg(unix)]
fn wait_for_room(socket: &TcpStream) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};

    poll(&mut [PollFd::new(socket, PollFlags::OUT)], None)?;
    Ok(())
}

/// Sends, and may block: other systems have no non-blocking send that leaves reads blocking.
#[cfg(not(unix))]
fn send(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    io::Write::write(&mut socket, bytes)
}

#[cfg(not(unix))]
fn wait_for_room(_: &TcpStream) -> io::Result<()> {
    Ok(())
}
