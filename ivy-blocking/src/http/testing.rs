//! A TLS server, and an address without a server, for tests.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use ivy_driver::Tls;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// A self-signed certificate for `localhost`.
const CERTIFICATE: &[u8] = include_bytes!("localhost.crt");
const KEY: &[u8] = include_bytes!("localhost.key");

/// The server's side of a connection to a server with that certificate.
pub(super) fn accept(socket: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), socket)
}

/// The TLS configuration of a client that trusts the certificate.
pub(super) fn trusting() -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE).unwrap()).unwrap();
    trusts(roots)
}

/// The TLS configuration of a client that does not trust it.
pub(super) fn distrusting() -> Tls {
    trusts(RootCertStore::empty())
}

fn trusts(roots: RootCertStore) -> Tls {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Tls::new(config)
}

/// An address that does not respond, as behind a firewall that drops packets: its listener accepts
/// nothing, and its backlog is full.
pub(super) struct SilentAddress {
    pub(super) address: SocketAddr,
    _held: (TcpListener, Vec<TcpStream>),
}

impl SilentAddress {
    pub(super) fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
        let waiting = std::iter::from_fn(|| connect().ok()).collect();
        SilentAddress { address, _held: (listener, waiting) }
    }
}
