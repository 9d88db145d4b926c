//! Opens the connections of sessions.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use futures_util::io::{AsyncRead, AsyncWrite};
use ivy_proto::backend::{Endpoint, LinkFault, LinkFaultKind};
use ivy_proto::connect::{CONNECT_LIMIT, without_brackets};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use crate::connecting::connect_first;
use crate::runtime::Runtime;
use crate::tls::is_tls;

/// What a connection runs over.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection: TCP, or TLS over it.
pub(super) type Link = Box<dyn Transport>;

/// Opens a connection, to the address of the host that answers first.
pub(super) async fn open<R: Runtime>(
    endpoint: Endpoint,
    tls: Option<Arc<ClientConfig>>,
) -> Result<Link, LinkFault> {
    connect::<R>(&endpoint, tls).await.map_err(|error| {
        let kind = if is_tls(&error) { LinkFaultKind::Tls } else { LinkFaultKind::Unreachable };
        LinkFault::new(kind, error.to_string())
    })
}

async fn connect<R: Runtime>(
    endpoint: &Endpoint,
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<Link> {
    let Endpoint { host, port, tls: is_secure } = endpoint;
    let addresses = R::resolve(without_brackets(host).to_owned(), *port).await?;
    let connect = |address: SocketAddr| R::connect(address);
    let tcp = connect_first::<R, _, _>(&addresses, CONNECT_LIMIT, connect).await?;
    if !is_secure {
        return Ok(Box::new(tcp));
    }
    let tls = tls.ok_or_else(|| io::Error::other("this backend was made without TLS"))?;
    let name = ServerName::try_from(without_brackets(host).to_owned())
        .map_err(|error| io::Error::other(rustls::Error::General(error.to_string())))?;
    Ok(Box::new(TlsConnector::from(tls).connect(name, tcp).await?))
}
