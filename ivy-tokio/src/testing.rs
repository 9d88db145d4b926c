//! A TLS server, and an address without a server, for tests.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ivy_driver::OwnRoots;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// A certificate for `localhost`, signed by nobody else.
const CERTIFICATE: &[u8] = include_bytes!("testing/localhost.crt");
const KEY: &[u8] = include_bytes!("testing/localhost.key");

/// The server's side of a connection to a server with that certificate.
pub(crate) fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// What a client needs that trusts the certificate.
pub(crate) fn trusting() -> ClientConfig {
    OwnRoots::from_pem(CERTIFICATE).unwrap().with_public_roots().unwrap()
}

/// What a client needs that does not.
pub(crate) fn distrusting() -> ClientConfig {
    OwnRoots::default().with_public_roots().unwrap()
}

/// An address at which nobody answers, as behind a firewall that drops what comes: its listener
/// accepts nothing, and has no room left for connections that wait.
pub(crate) struct SilentAddress {
    pub(crate) address: SocketAddr,
    _held: (TcpListener, Vec<TcpStream>),
}

impl SilentAddress {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
        let waiting = std::iter::from_fn(|| connect().ok()).collect();
        SilentAddress { address, _held: (listener, waiting) }
    }
}
