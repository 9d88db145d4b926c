//! TLS: one configuration for every connection, with its cryptography named.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Certificates of the caller's own authorities, trusted besides the usual ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnRoots(Vec<CertificateDer<'static>>);

impl OwnRoots {
    /// Reads certificates in PEM form; nothing if there is none, or one is damaged.
    pub(crate) fn from_pem(pem: &[u8]) -> Option<Self> {
        let roots: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
        let mut store = RootCertStore::empty();
        let usable = roots.iter().all(|root| store.add(root.clone()).is_ok());
        (usable && !roots.is_empty()).then_some(OwnRoots(roots))
    }

    /// A configuration that trusts the authorities that browsers trust, as compiled in: it works
    /// where the system has no certificates, such as in an empty container.
    pub(crate) fn with_public_roots(&self) -> ClientConfig {
        let mut store = RootCertStore::empty();
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        self.configuration(store)
    }

    /// A configuration that trusts the authorities that this system trusts: a Redis server is
    /// mostly one's own.
    pub(crate) fn with_system_roots(&self) -> ClientConfig {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        self.configuration(store)
    }

    fn configuration(&self, mut store: RootCertStore) -> ClientConfig {
        store.add_parsable_certificates(self.0.iter().cloned());
        // Named here, since the default of the process is missing or ambiguous as soon as another
        // crate compiles in a second provider.
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring can speak all versions of TLS that rustls can")
            .with_root_certificates(store)
            .with_no_client_auth()
    }
}

/// Whether an error comes from TLS, and not from the network beneath.
pub(crate) fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An `io::Error` hides the error that it wraps from `source`, which skips to the
        // wrapped error's own source.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if wrapped.is_some_and(|wrapped| is_tls(wrapped)) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::TcpStream;

    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    /// A certificate for `localhost`, signed by nobody else.
    pub(crate) const CERTIFICATE: &[u8] = include_bytes!("tls/localhost.crt");
    const KEY: &[u8] = include_bytes!("tls/localhost.key");

    /// The server's side of a connection to a server with that certificate.
    pub(crate) fn accept(socket: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
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

    #[test]
    fn what_is_not_a_certificate_is_no_root() {
        let damaged = String::from_utf8_lossy(CERTIFICATE).replace('M', "!");
        for pem in ["", "hello", &damaged] {
            assert!(OwnRoots::from_pem(pem.as_bytes()).is_none(), "{pem:?}");
        }
    }
}
