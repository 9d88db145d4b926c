//! How the HTTP client connects. Whatever fails here is known to have failed before anything was sent.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use ivy_driver::internal::{InterimAnswers, is_tls};
use ivy_proto::connect::CONNECT_LIMIT;
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    self, Buffers, ConnectionDetails, LazyBuffers, NextTimeout, ShutdownHandle, Transport,
};

use super::connector::{Connector, Socket};

/// Longer than any request takes.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// There is no connection, so nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(super) struct NotConnected {
    pub(super) is_tls: bool,
    pub(super) detail: String,
}

impl From<io::Error> for NotConnected {
    fn from(error: io::Error) -> Self {
        NotConnected { is_tls: is_tls(&error), detail: error.to_string() }
    }
}

/// Opens the connections of an agent.
#[derive(Debug)]
pub(super) struct Opener(Connector);

impl Opener {
    pub(super) fn new(connector: Connector) -> Self {
        Opener(connector)
    }

    fn open(&self, details: &ConnectionDetails<'_>) -> io::Result<Connection> {
        let is_secure = details.needs_tls();
        let port = details.uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let host = details.uri.host().unwrap_or_default();
        let until = Instant::now() + CONNECT_LIMIT.min(*details.timeout.after);
        let mut tcp = None;
        let socket = self.0.connect(host, port, is_secure, until, |socket| {
            let handle: Arc<dyn ShutdownHandle> = Arc::<TcpStream>::clone(socket);
            (details.register_shutdown)(Arc::downgrade(&handle)).map_err(io::Error::other)?;
            tcp = Some(Arc::downgrade(socket));
            Ok(())
        })?;
        let (input, output) =
            (details.config.input_buffer_size(), details.config.output_buffer_size());
        let buffers = LazyBuffers::new(input, output);
        let (tcp, interim) = (tcp.unwrap_or_default(), InterimAnswers::default());
        Ok(Connection { socket, tcp, is_secure, buffers, interim })
    }
}

impl transport::Connector for Opener {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        self.open(details)
            .map(Some)
            .map_err(|error| Error::Other(Box::new(NotConnected::from(error))))
    }
}

/// A connection, with TLS or without.
pub(super) struct Connection {
    socket: Box<dyn Socket>,
    /// Held by the socket.
    tcp: Weak<TcpStream>,
    is_secure: bool,
    buffers: LazyBuffers,
    interim: InterimAnswers,
}

impl Connection {
    fn limit(&mut self, timeout: NextTimeout) {
        self.socket.limit(Instant::now() + NO_LIMIT.min(*timeout.after));
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.limit(timeout);
        self.interim.begin();
        let output = &self.buffers.output()[..amount];
        self.socket.write_all(output).map_err(|error| failed(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.limit(timeout);
        let free = self.buffers.input_append_buf();
        let read = self.socket.read(free);
        let amount = read.map_err(|error| failed(error, timeout))?;
        self.interim.read(&free[..amount]).map_err(Error::Io)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // Nothing is to come before the next request: neither bytes nor the end.
        let Some(tcp) = self.tcp.upgrade() else { return false };
        let read = tcp.set_nonblocking(true).and_then(|()| tcp.as_ref().read(&mut [0]));
        let is_silent = matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        tcp.set_nonblocking(false).is_ok() && is_silent
    }

    fn is_tls(&self) -> bool {
        self.is_secure
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

fn failed(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        // Systems differ in what they call it.
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}

/// Resolves nothing: [`Opener`] does, when a connection is opened, and not for each request as ureq
/// would have it.
#[derive(Debug)]
pub(super) struct Unresolved;

impl Resolver for Unresolved {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut unused = self.empty();
        unused.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Ok(unused)
    }
}
