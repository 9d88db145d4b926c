//! Accepts connections in a thread.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt};

use crate::net::{Tcp, in_thread};

/// How long a drop waits until the socket is closed.
const CLOSE_LIMIT: Duration = Duration::from_millis(100);

/// A socket that listens.
pub struct Listener {
    socket: Arc<TcpListener>,
    /// Waits, in a thread, for the next connection.
    accepting: Mutex<Option<BoxFuture<'static, io::Result<TcpStream>>>>,
}

impl Listener {
    pub(crate) fn new(socket: TcpListener) -> Self {
        Listener { socket: Arc::new(socket), accepting: Mutex::new(None) }
    }

    pub(crate) async fn accept(&self) -> io::Result<Tcp> {
        Tcp::start(poll_fn(|context| self.poll_accept(context)).await?)
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        // No code that can panic runs while the lock is held.
        let mut accepting = self.accepting.lock().unwrap_or_else(PoisonError::into_inner);
        let next = accepting.get_or_insert_with(|| {
            let socket = Arc::clone(&self.socket);
            in_thread("ivy-accept", move || Ok(socket.accept()?.0)).boxed()
        });
        let accepted = ready!(next.poll_unpin(context));
        *accepting = None;
        Poll::Ready(accepted)
    }

    /// Whether a thread waits for a connection.
    fn is_accepting(&self) -> bool {
        Arc::strong_count(&self.socket) > 1
    }
}

/// Closes the socket, also if a thread waits for a connection: it gets one.
impl Drop for Listener {
    fn drop(&mut self) {
        let until = Instant::now() + CLOSE_LIMIT;
        if self.is_accepting()
            && let Ok(address) = self.socket.local_addr()
        {
            // If it fails because too many clients wait, the thread is not waiting.
            let _ = TcpStream::connect_timeout(&reachable(address), CLOSE_LIMIT);
        }
        while self.is_accepting() && Instant::now() < until {
            thread::sleep(Duration::from_micros(100));
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// The address at which this host reaches a socket that listens at `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}
