//! TLS by rustls, with an explicit crypto provider.

use std::io;
use std::sync::Arc;

use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use futures_util::io::{AsyncRead, AsyncWrite};
use ivy_proto::connect::without_brackets;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
#[cfg(feature = "platform-verifier")]
use rustls_platform_verifier::Verifier;

/// The TLS configuration of connections: trusted authorities and crypto provider.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Uses this rustls configuration.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Tls(Arc::new(config))
    }

    /// Performs the TLS handshake with the host of this name.
    pub(crate) async fn secure<Tcp: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        tcp: Tcp,
    ) -> io::Result<TlsStream<Tcp>> {
        let name = ServerName::try_from(without_brackets(host).to_owned())
            .map_err(|error| io::Error::other(rustls::Error::General(error.to_string())))?;
        TlsConnector::from(Arc::clone(&self.0)).connect(name, tcp).await
    }
}

/// Why TLS is unavailable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTls {
    /// There is no crypto provider.
    #[error(
        "TLS is needed, and no cryptography for it is compiled in; turn on the feature `ring` or `aws-lc-rs`, or install a default provider of rustls"
    )]
    NoProvider,
    /// The crypto provider lacks something, or the system's verifier cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Unusable(#[from] rustls::Error),
}

/// Why TLS is unavailable, if it is.
pub(crate) fn missing() -> Option<NoTls> {
    provider().err()
}

/// Certificates of authorities trusted in addition to the default ones.
#[derive(Debug, Default)]
pub(crate) struct OwnRoots(Vec<CertificateDer<'static>>);

impl OwnRoots {
    /// Parses certificates in PEM form; `None` if there is none, or one is damaged.
    pub(crate) fn from_pem(pem: &[u8]) -> Option<Self> {
        let roots: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
        let mut store = RootCertStore::empty();
        let usable = roots.iter().all(|root| store.add(root.clone()).is_ok());
        (usable && !roots.is_empty()).then_some(OwnRoots(roots))
    }

    /// A configuration that trusts the authorities that browsers trust, as compiled in: it works on
    /// systems without certificates, such as an empty container. With the feature
    /// `platform-verifier` it trusts the authorities of the operating system.
    ///
    /// # Errors
    /// If no cryptography is compiled in, or the operating system trusts no authority.
    pub(crate) fn with_public_roots(&self) -> Result<Tls, NoTls> {
        self.trusting(|| webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    /// A configuration that trusts the authorities of this system: a Redis server is usually
    /// internal.
    ///
    /// # Errors
    /// If no cryptography is compiled in, or, with the feature `platform-verifier`, the operating
    /// system trusts no authority.
    pub(crate) fn with_system_roots(&self) -> Result<Tls, NoTls> {
        self.trusting(|| {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            store
        })
    }

    #[cfg(not(feature = "platform-verifier"))]
    fn trusting(&self, usual: impl FnOnce() -> RootCertStore) -> Result<Tls, NoTls> {
        let mut store = usual();
        store.add_parsable_certificates(self.0.iter().cloned());
        let builder = ClientConfig::builder_with_provider(provider()?);
        let builder = builder.with_safe_default_protocol_versions()?;
        Ok(Tls::new(builder.with_root_certificates(store).with_no_client_auth()))
    }

    #[cfg(feature = "platform-verifier")]
    fn trusting(&self, _: impl FnOnce() -> RootCertStore) -> Result<Tls, NoTls> {
        let provider = provider()?;
        let roots = self.0.iter().cloned();
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))?;
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions()?;
        // "Dangerous" because the verifier decides which certificates are trusted.
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Tls::new(builder.with_no_client_auth()))
    }
}

/// The crypto provider: the one compiled in, else the one that the program installed. The process
/// default is not consulted first, because it is missing or ambiguous as soon as another crate
/// compiles in a second provider.
fn provider() -> Result<Arc<CryptoProvider>, NoTls> {
    let own = own_provider().map(Arc::new);
    own.or_else(|| CryptoProvider::get_default().cloned()).ok_or(NoTls::NoProvider)
}

/// The provider compiled in. `aws-lc-rs` wins because it is opt-in, whereas `ring` is on by
/// default.
fn own_provider() -> Option<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    return Some(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Some(rustls::crypto::ring::default_provider());
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    None
}

/// Whether an error comes from TLS rather than from the network beneath.
pub(crate) fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        // An `io::Error` hides the error that it wraps from `source`, which skips to the
        // wrapped error's own source.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if wrapped.is_some_and(|wrapped| is_tls(wrapped)) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A self-signed certificate for `localhost`.
    const CERTIFICATE: &[u8] = include_bytes!("localhost.crt");

    #[test]
    fn data_that_is_not_a_certificate_is_refused() {
        let damaged = String::from_utf8_lossy(CERTIFICATE).replace('M', "!");
        for pem in ["", "hello", &damaged] {
            assert!(OwnRoots::from_pem(pem.as_bytes()).is_none(), "{pem:?}");
        }
        assert!(OwnRoots::from_pem(CERTIFICATE).is_some());
    }

    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    #[test]
    fn the_compiled_in_provider_is_used_even_if_there_is_another() {
        assert!(OwnRoots::from_pem(CERTIFICATE).unwrap().with_public_roots().is_ok());
        assert!(CryptoProvider::get_default().is_none(), "no default provider is required");
    }

    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    #[test]
    fn tls_is_unavailable_without_cryptography() {
        let error = OwnRoots::default().with_public_roots().unwrap_err();
        assert!(matches!(error, NoTls::NoProvider), "{error}");
    }
}
