//! How the HTTP client connects: resolving names, TCP, TLS. Whatever fails here is known to have
//! failed before anything was sent.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ivy_driver::is_tls;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{self, DefaultResolver, ResolvedSocketAddrs};
use ureq::unversioned::transport::{
    self, Buffers, ConnectionDetails, LazyBuffers, NextTimeout, TcpConnector, Transport,
    TransportAdapter,
};

use crate::tls::secure;

/// How long an address is used before its name is looked up again. Without this, each request
/// would look it up, also on a connection that stands.
const ADDRESS_AGE: Duration = Duration::from_secs(5);

/// How many addresses of one name are tried: as many as ureq has room for.
const MOST_ADDRESSES: usize = 16;

/// There is no connection, so nothing was sent.
#[derive(Debug, thiserror::Error)]
#[error("{detail}")]
pub(super) struct NotConnected {
    pub(super) is_tls: bool,
    pub(super) detail: String,
}

impl From<Error> for NotConnected {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error.into(),
            error => NotConnected { is_tls: false, detail: error.to_string() },
        }
    }
}

impl From<io::Error> for NotConnected {
    fn from(error: io::Error) -> Self {
        NotConnected { is_tls: is_tls(&error), detail: error.to_string() }
    }
}

impl From<NotConnected> for Error {
    fn from(error: NotConnected) -> Self {
        Error::Other(Box::new(error))
    }
}

/// Makes connections: TCP, and TLS where the address asks for it.
#[derive(Debug)]
pub(super) struct Connector {
    tls: Option<Arc<ClientConfig>>,
}

impl Connector {
    pub(super) fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Connector { tls }
    }

    fn open(&self, details: &ConnectionDetails<'_>) -> Result<Box<dyn Transport>, NotConnected> {
        let tcp = TcpConnector::default();
        let tcp = transport::Connector::<()>::connect(&tcp, details, None)?
            .ok_or(Error::ConnectionFailed)?;
        if !details.needs_tls() {
            return Ok(Box::new(tcp));
        }
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other("this client has no TLS"))?;
        let mut socket = TransportAdapter::new(Box::new(tcp) as _, details.current_time.clone());
        socket.set_timeout(details.timeout);
        let stream = secure(tls, details.uri.host().unwrap_or_default(), socket)?;
        let (input, output) =
            (details.config.input_buffer_size(), details.config.output_buffer_size());
        let buffers = LazyBuffers::new(input, output);
        Ok(Box::new(Secured { stream, buffers }))
    }
}

impl transport::Connector for Connector {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Box<dyn Transport>>, Error> {
        Ok(Some(self.open(details)?))
    }
}

/// A connection over TLS.
struct Secured {
    stream: StreamOwned<ClientConnection, TransportAdapter>,
    buffers: LazyBuffers,
}

impl Transport for Secured {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.sock.set_timeout(timeout);
        Ok(io::Write::write_all(&mut self.stream, &self.buffers.output()[..amount])?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.sock.set_timeout(timeout);
        let amount = io::Read::read(&mut self.stream, self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for Secured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secured")
    }
}

/// Looks names up in this thread, as the system does it, and remembers the last one for a while.
#[derive(Clone, Debug, Default)]
pub(super) struct Resolver {
    known: Arc<Mutex<Option<Known>>>,
}

#[derive(Debug)]
struct Known {
    host: String,
    addresses: Vec<SocketAddr>,
    since: Instant,
}

impl Resolver {
    fn look_up(&self, host: String) -> Result<Vec<SocketAddr>, NotConnected> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*known()
            && known.host == host
            && known.since.elapsed() < ADDRESS_AGE
        {
            return Ok(known.addresses.clone());
        }
        let addresses: Vec<_> = host.to_socket_addrs()?.collect();
        let since = Instant::now();
        *known() = Some(Known { host, addresses: addresses.clone(), since });
        Ok(addresses)
    }
}

impl resolver::Resolver for Resolver {
    fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.scheme().zip(uri.authority());
        let host = host.and_then(|(scheme, host)| DefaultResolver::host_and_port(scheme, host));
        let addresses = self.look_up(host.ok_or(Error::HostNotFound)?)?;
        let mut resolved = self.empty();
        for address in addresses.into_iter().take(MOST_ADDRESSES) {
            resolved.push(address);
        }
        Ok(resolved)
    }
}
