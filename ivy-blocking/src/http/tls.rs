//! TLS over sockets that block.

use std::io::{self, Read, Write};
use std::sync::Arc;

use ivy_driver::Tls;
use ivy_proto::connect::without_brackets;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

/// Begins TLS over a socket to the host of this name.
pub(super) fn secure<Socket: Read + Write>(
    tls: &Tls,
    host: &str,
    mut socket: Socket,
) -> io::Result<StreamOwned<ClientConnection, Socket>> {
    let name = ServerName::try_from(without_brackets(host).to_owned())
        .map_err(|error| io::Error::other(rustls::Error::General(error.to_string())))?;
    let mut session =
        ClientConnection::new(Arc::clone(tls.config()), name).map_err(io::Error::other)?;
    session.complete_io(&mut socket)?;
    Ok(StreamOwned::new(session, socket))
}
