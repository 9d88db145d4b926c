//! TLS by rustls, with its cryptography named.

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

/// What a connection needs to speak TLS: whom it trusts, and its cryptography.
#[derive(Clone, Debug)]
pub struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Speaks TLS as this configuration says.
    #[must_use]
    pub fn new(config: ClientConfig) -> Self {
        Tls(Arc::new(config))
    }

    /// The configuration, for clients that speak TLS themselves.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.0
    }

    /// Begins TLS with the host of this name.
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

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoTls {
    /// No cryptography is there for it.
    #[error(
        "TLS is needed, and no cryptography for it is compiled in; turn on the feature `ring` or `aws-lc-rs`, or install a default provider of rustls"
    )]
    NoProvider,
    /// The provider can do too little, or the system's verifier cannot be used.
    #[error("TLS cannot be set up: {0}")]
    Unusable(#[from] rustls::Error),
}

/// Why no connection can be encrypted, if none can.
pub(crate) fn missing() -> Option<NoTls> {
    provider().err()
}

/// Certificates of the caller's own authorities, trusted besides the usual ones.
#[derive(Debug, Default)]
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
    /// where the system has no certificates, such as in an empty container. With the feature
    /// `platform-verifier` it trusts whom the operating system trusts.
    ///
    /// # Errors
    /// If no cryptography is compiled in, or the operating system trusts nobody.
    pub(crate) fn with_public_roots(&self) -> Result<Tls, NoTls> {
        self.trusting(|| webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())
    }

    /// A configuration that trusts the authorities that this system trusts: a Redis server is
    /// mostly one's own.
    ///
    /// # Errors
    /// If no cryptography is compiled in, or, with the feature `platform-verifier`, the operating
    /// system trusts nobody.
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
        // Dangerous is what decides who is trusted, whatever that is.
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        Ok(Tls::new(builder.with_no_client_auth()))
    }
}

/// The cryptography: what is compiled in, or else what the program installed. The default of the
/// process comes last, since it is missing or ambiguous as soon as another crate compiles in a second
/// provider.
fn provider() -> Result<Arc<CryptoProvider>, NoTls> {
    let own = own_provider().map(Arc::new);
    own.or_else(|| CryptoProvider::get_default().cloned()).ok_or(NoTls::NoProvider)
}

/// What is compiled in. Who turns `aws-lc-rs` on asks for it, whereas `ring` is on by default.
fn own_provider() -> Option<CryptoProvider> {
    #[cfg(feature = "aws-lc-rs")]
    return Some(rustls::crypto::aws_lc_rs::default_provider());
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Some(rustls::crypto::ring::default_provider());
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    None
}

/// Whether an error comes from TLS, and not from the network beneath.
#[must_use]
pub fn is_tls(error: &(dyn std::error::Error + 'static)) -> bool {
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

    /// A certificate for `localhost`, signed by nobody else.
    const CERTIFICATE: &[u8] = include_bytes!("localhost.crt");

    #[test]
    fn what_is_not_a_certificate_is_no_root() {
        let damaged = String::from_utf8_lossy(CERTIFICATE).replace('M', "!");
        for pem in ["", "hello", &damaged] {
            assert!(OwnRoots::from_pem(pem.as_bytes()).is_none(), "{pem:?}");
        }
        assert!(OwnRoots::from_pem(CERTIFICATE).is_some());
    }

    #[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
    #[test]
    fn what_is_compiled_in_is_used_though_another_provider_may_be_there() {
        assert!(OwnRoots::from_pem(CERTIFICATE).unwrap().with_public_roots().is_ok());
        assert!(CryptoProvider::get_default().is_none(), "nobody else has to choose");
    }

    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    #[test]
    fn without_cryptography_there_is_no_tls() {
        let error = OwnRoots::default().with_public_roots().unwrap_err();
        assert!(matches!(error, NoTls::NoProvider), "{error}");
    }
}
