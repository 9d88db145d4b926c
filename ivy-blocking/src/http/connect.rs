//! Connections of the HTTP client. Errors here occur before a request is sent.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ivy_driver::Tls;
use ivy_driver::internal::{InformationalResponses, is_tls};
use ivy_proto::connect::{CONNECT_LIMIT, without_brackets};
use ivy_proto::queue::{Fault, FaultKind};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Stream};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, ShutdownHandle, Transport,
};

use super::limited::{Limited, left};

/// Longer than any request.
const NO_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Connects to the first address that accepts, within a time limit.
pub(crate) type Open = fn(&[SocketAddr], Duration) -> io::Result<TcpStream>;

/// Opens the connections of an agent, with TLS if it has a TLS configuration.
#[derive(Clone, Debug)]
pub(super) struct Opener {
    pub(super) tls: Option<Tls>,
    pub(super) open: Open,
}

impl Opener {
    fn open(&self, details: &ConnectionDetails<'_>) -> io::Result<Connection> {
        let is_secure = details.needs_tls();
        let port = details.uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let host = without_brackets(details.uri.host().unwrap_or_default());
        let until = Instant::now() + CONNECT_LIMIT.min(*details.timeout.after);
        let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        let socket = Arc::new((self.open)(&addresses, left(until)?)?);
        let handle: Arc<dyn ShutdownHandle> = Arc::<TcpStream>::clone(&socket);
        (details.register_shutdown)(Arc::downgrade(&handle)).map_err(io::Error::other)?;
        let mut tcp = Limited { socket, until };
        let tls = is_secure.then(|| self.secure(host, &mut tcp)).transpose()?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Connection { tcp, tls, buffers, informational: InformationalResponses::default() })
    }

    fn secure(&self, host: &str, tcp: &mut Limited) -> io::Result<ClientConnection> {
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("this client has no TLS"))?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::other(rustls::Error::General(error.to_string())))?;
        let mut session =
            ClientConnection::new(Arc::clone(tls.config()), name).map_err(io::Error::other)?;
        session.complete_io(tcp)?;
        Ok(session)
    }
}

impl Connector for Opener {
    type Out = Connection;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Connection>, Error> {
        self.open(details).map(Some).map_err(|error| Error::Other(Box::new(not_connected(&error))))
    }
}

/// A connection, with or without TLS.
pub(super) struct Connection {
    tcp: Limited,
    tls: Option<ClientConnection>,
    buffers: LazyBuffers,
    informational: InformationalResponses,
}

impl Connection {
    fn limit(&mut self, timeout: NextTimeout) {
        self.tcp.until = Instant::now() + NO_LIMIT.min(*timeout.after);
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.limit(timeout);
        self.informational.begin();
        let output = &self.buffers.output()[..amount];
        let sent = match &mut self.tls {
            Some(tls) => Stream::new(tls, &mut self.tcp).write_all(output),
            None => self.tcp.write_all(output),
        };
        sent.map_err(|error| failed(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.limit(timeout);
        let free = self.buffers.input_append_buf();
        let read = match &mut self.tls {
            Some(tls) => Stream::new(tls, &mut self.tcp).read(free),
            None => self.tcp.read(free),
        };
        let amount = read.map_err(|error| failed(error, timeout))?;
        self.informational.read(&free[..amount]).map_err(Error::Io)?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // An idle connection receives neither bytes nor its end.
        let mut tcp = &*self.tcp.socket;
        let read = tcp.set_nonblocking(true).and_then(|()| tcp.read(&mut [0]));
        let is_silent = matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        tcp.set_nonblocking(false).is_ok() && is_silent
    }

    fn is_tls(&self) -> bool {
        self.tls.is_some()
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}

/// The fault of a failed connect: nothing was sent.
fn not_connected(error: &io::Error) -> Fault {
    let kind = if is_tls(error) { FaultKind::Tls } else { FaultKind::Unreachable };
    Fault::new(kind).with_detail(error.to_string())
}

fn failed(error: io::Error, timeout: NextTimeout) -> Error {
    match error.kind() {
        // Systems report a timeout differently.
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::Timeout(timeout.reason),
        _ => Error::Io(error),
    }
}

/// Does not resolve names: [`Opener`] does when it opens a connection, whereas ureq would resolve
/// before each request.
#[derive(Debug)]
pub(super) struct Unresolved;

impl Resolver for Unresolved {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut unused = self.empty();
        unused.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
        Ok(unused)
    }
}
