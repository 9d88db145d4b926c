//! TLS over sockets that block.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// Begins TLS over a socket to the host of this name.
pub(crate) fn secure<Socket: Read + Write>(
    tls: &Arc<ClientConfig>,
    host: &str,
    mut socket: Socket,
) -> io::Result<StreamOwned<ClientConnection, Socket>> {
    // An IPv6 address has brackets in a URL only.
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host)
        .map_err(|error| io::Error::other(rustls::Error::General(error.to_string())))?;
    let mut session = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
    session.complete_io(&mut socket)?;
    Ok(StreamOwned::new(session, socket))
}
