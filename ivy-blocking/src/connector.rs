//! Opens connections: TCP, with TLS over it where it is asked for. Nothing on them lasts longer than it
//! may.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ivy_driver::{no_address, out_of_time, race, spawn};
use ivy_proto::Moment;
use ivy_proto::connect::{Step, without_brackets};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::tls::secure;

/// Finds the addresses of a host.
type Resolve = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Opens connections.
#[derive(Clone)]
pub(crate) struct Connector {
    resolve: Arc<Resolve>,
    tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    /// Connects over TLS only if it is given what that needs.
    pub(crate) fn new(tls: Option<ClientConfig>) -> Self {
        Connector::with_resolver(|host, port| Ok((host, port).to_socket_addrs()?.collect()), tls)
    }

    /// The same, for hosts whose addresses this function finds.
    pub(crate) fn with_resolver(
        resolve: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
        tls: Option<ClientConfig>,
    ) -> Self {
        Connector { resolve: Arc::new(resolve), tls: tls.map(Arc::new) }
    }

    /// Connects to a host, with TLS if it is asked for. The TCP socket is shown before anything is
    /// sent on it.
    pub(crate) fn connect(
        &self,
        host: &str,
        port: u16,
        is_secure: bool,
        until: Instant,
        show: impl FnOnce(&Arc<TcpStream>) -> io::Result<()>,
    ) -> io::Result<Box<dyn Socket>> {
        let addresses = (self.resolve)(without_brackets(host), port)?;
        let socket = Arc::new(connect_first(&addresses, until)?);
        socket.set_nodelay(true)?;
        show(&socket)?;
        let socket = Limited { socket, until };
        if !is_secure {
            return Ok(Box::new(socket));
        }
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("this client has no TLS"))?;
        Ok(Box::new(secure(tls, host, socket)?))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

/// Connects to these addresses as [`ConnectRace`](ivy_proto::connect::ConnectRace) decides, and
/// returns the first connection. Where there are several, each attempt has a thread.
fn connect_first(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    if let [address] = addresses {
        return TcpStream::connect_timeout(address, left(until)?);
    }
    let begun = Instant::now();
    let limit = until.saturating_duration_since(begun);
    let mut race = race(addresses, Moment::after_epoch(limit));
    let (sender, ended) = mpsc::channel();
    let mut failure = no_address();
    loop {
        let now = Moment::after_epoch(begun.elapsed());
        let wait = match race.next_step(now) {
            Step::Start(index) => {
                let Some(address) = addresses.get(index).copied() else { continue };
                let sender = sender.clone();
                let attempt = move || {
                    let connect = |left| TcpStream::connect_timeout(&address, left);
                    // Nobody waits for one that is slower than another.
                    let _ = sender.send(left(until).and_then(connect));
                };
                if let Err(error) = spawn("ivy-connect", attempt) {
                    failure = error;
                    race.failed();
                }
                continue;
            }
            Step::Wait(at) => at.since(now),
            Step::Failed => return Err(failure),
            Step::TimedOut => return Err(out_of_time()),
        };
        match ended.recv_timeout(wait) {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => {
                failure = error;
                race.failed();
            }
            // It is time for the next step.
            Err(_) => {}
        }
    }
}

/// What a connection runs over.
pub(crate) trait Socket: Read + Write + Send + Sync {
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
pub(crate) struct Limited {
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
