//! Opens connections: TCP, with TLS over it where it is asked for. Nothing on them lasts longer than it
//! may.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ivy_driver::Tls;
use ivy_proto::connect::without_brackets;
use rustls::{ClientConnection, StreamOwned};

use super::tls::secure;

/// Connects to the address that answers first, within a limit.
pub(crate) type Open = fn(&[SocketAddr], Duration) -> io::Result<TcpStream>;

/// Opens connections, over TLS only if it is given what that needs.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    pub(super) tls: Option<Tls>,
    pub(super) open: Open,
}

impl Connector {
    /// Connects to a host, with TLS if it is asked for. The TCP socket is shown before anything is
    /// sent on it.
    pub(super) fn connect(
        &self,
        host: &str,
        port: u16,
        is_secure: bool,
        until: Instant,
        show: impl FnOnce(&Arc<TcpStream>) -> io::Result<()>,
    ) -> io::Result<Box<dyn Socket>> {
        let addresses: Vec<_> = (without_brackets(host), port).to_socket_addrs()?.collect();
        let socket = Arc::new((self.open)(&addresses, left(until)?)?);
        show(&socket)?;
        let socket = Limited { socket, until };
        if !is_secure {
            return Ok(Box::new(socket));
        }
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("this client has no TLS"))?;
        Ok(Box::new(secure(tls, host, socket)?))
    }
}

/// What a connection runs over.
pub(super) trait Socket: Read + Write + Send + Sync {
    /// Nothing lasts longer than until then.
    fn limit(&mut self, until: Instant);
}

impl Socket for Limited {
    fn limit(&mut self, until: Instant) {
        self.until = until;
    }
}

impl Socket for StreamOwned<ClientConnection, Limited> {
    fn limit(&mut self, until: Instant) {
        self.sock.until = until;
    }
}

/// A socket on which nothing lasts longer than until a moment.
pub(super) struct Limited {
    socket: Arc<TcpStream>,
    until: Instant,
}

impl Limited {
    /// A signal interrupts what has a time limit. It is begun again with what is left of it.
    fn begun_again<T>(
        &self,
        mut attempt: impl FnMut(&TcpStream, Duration) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match attempt(&self.socket, left(self.until)?) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                ended => return ended,
            }
        }
    }
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.begun_again(|mut socket, left| {
            socket.set_read_timeout(Some(left))?;
            socket.read(buffer)
        })
    }
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.begun_again(|mut socket, left| {
            socket.set_write_timeout(Some(left))?;
            socket.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.as_ref().flush()
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
