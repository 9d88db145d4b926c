//! TCP connections that futures use: one thread reads, and the thread that polls writes.

use std::io::{self, Read};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::io::{AsyncRead, AsyncWrite};
use ivy_driver::internal::{helping, spawn};
use ivy_proto::connect::CONNECT_LIMIT;

/// The most bytes that are read at a time, and the most that wait to be taken in before more is read.
const PIECE: usize = 16 * 1024;

/// The addresses of a host.
pub(crate) async fn resolve(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    in_thread("ivy-resolve", move || Ok((host, port).to_socket_addrs()?.collect())).await
}

/// Opens a connection to an address.
pub(crate) async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let connect = move || TcpStream::connect_timeout(&address, CONNECT_LIMIT);
    let socket = in_thread("ivy-connect", connect).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Opens a connection to an address, for futures.
pub(crate) async fn connect(address: SocketAddr) -> io::Result<Tcp> {
    let socket = Arc::new(open(address).await?);
    let incoming = Arc::new(Incoming::default());
    let (read_from, given_to) = (Arc::clone(&socket), Arc::clone(&incoming));
    spawn("ivy-reader", move || given_to.fill(&read_from))?;
    Ok(Tcp { socket, incoming, outgoing: Outgoing::default() })
}

async fn in_thread<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (give, given) = oneshot::channel();
    spawn(name, move || {
        let done = work();
        // Nobody may wait for it any more.
        let _ = helping(|| give.send(done));
    })?;
    given.await.unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")))
}

/// A connection. Dropping it closes it, and ends its thread.
#[derive(Debug)]
pub struct Tcp {
    socket: Arc<TcpStream>,
    incoming: Arc<Incoming>,
    outgoing: Outgoing,
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
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Tcp { socket, outgoing, .. } = self.get_mut();
        outgoing.poll_write(socket, context, bytes)
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
        // It fails only if the connection has ended already.
        let _ = self.socket.shutdown(Shutdown::Both);
        self.incoming.abandon();
    }
}

/// What was read and is not taken in yet.
#[derive(Debug, Default)]
struct Incoming {
    state: Mutex<Unread>,
    taken: Condvar,
}

#[derive(Debug, Default)]
struct Unread {
    bytes: Vec<u8>,
    /// How many of them are taken in.
    start: usize,
    /// How the connection has ended.
    end: Option<io::Result<()>>,
    waiting: Option<Waker>,
    /// Whether the thread that reads waits until all is taken in.
    is_full: bool,
    is_abandoned: bool,
}

impl Incoming {
    /// Reads until the connection ends.
    fn fill(&self, mut socket: &TcpStream) {
        let mut piece = vec![0; PIECE];
        loop {
            let read = socket.read(&mut piece);
            let mut unread = self.lock();
            while unread.start < unread.bytes.len() && !unread.is_abandoned {
                unread.is_full = true;
                unread = self.taken.wait(unread).unwrap_or_else(PoisonError::into_inner);
            }
            unread.is_full = false;
            match read {
                Ok(length @ 1..) => {
                    unread.bytes.clear();
                    unread.bytes.extend_from_slice(&piece[..length]);
                    unread.start = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                end => unread.end = Some(end.map(drop)),
            }
            let (waiting, is_ended) = (unread.waiting.take(), unread.end.is_some());
            let is_abandoned = unread.is_abandoned;
            drop(unread);
            helping(|| waiting.map(Waker::wake));
            if is_ended || is_abandoned {
                return;
            }
        }
    }

    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut unread = self.lock();
        let available = &unread.bytes[unread.start..];
        let length = available.len().min(buffer.len());
        if length > 0 {
            buffer[..length].copy_from_slice(&available[..length]);
            unread.start += length;
            if unread.is_full {
                self.taken.notify_one();
            }
            return Poll::Ready(Ok(length));
        }
        match mem::take(&mut unread.end) {
            Some(end) => {
                unread.end = Some(Ok(()));
                Poll::Ready(end.map(|()| 0))
            }
            None => {
                unread.waiting = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Nobody takes anything in any more.
    fn abandon(&self) {
        self.lock().is_abandoned = true;
        self.taken.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Unread> {
        // No code that can panic runs while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends without waiting, and waits in a thread where a connection takes nothing for now.
#[derive(Debug, Default)]
struct Outgoing {
    /// Until that thread has ended.
    blocked: Option<oneshot::Receiver<io::Result<()>>>,
}

impl Outgoing {
    fn poll_write(
        &mut self,
        socket: &Arc<TcpStream>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(blocked) = &mut self.blocked {
                let waited = ready!(blocked.poll_unpin(context));
                self.blocked = None;
                waited.unwrap_or_else(|_| Err(io::Error::other("the thread has panicked")))?;
            }
            match send(socket, bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let (give, given) = oneshot::channel();
                    let socket = Arc::clone(socket);
                    spawn("ivy-writer", move || {
                        let waited = wait_for_room(&socket);
                        // The connection may be gone.
                        let _ = helping(|| give.send(waited));
                    })?;
                    self.blocked = Some(given);
                }
                sent => return Poll::Ready(sent),
            }
        }
    }
}

/// Sends what the connection takes at once.
#[cfg(unix)]
fn send(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    use rustix::net::SendFlags;

    Ok(rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?)
}

/// Waits until the connection takes something, or has ended.
#[cfg(unix)]
fn wait_for_room(socket: &TcpStream) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};

    poll(&mut [PollFd::new(socket, PollFlags::OUT)], None)?;
    Ok(())
}

/// Sends, and may wait: other systems have no way to send without waiting that does not keep readers
/// from waiting.
#[cfg(not(unix))]
fn send(mut socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    io::Write::write(&mut socket, bytes)
}

#[cfg(not(unix))]
fn wait_for_room(_: &TcpStream) -> io::Result<()> {
    Ok(())
}
