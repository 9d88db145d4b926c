//! A build without TLS.

use std::io;

/// What a connection needs to speak TLS. A build without the feature `tls` has none.
#[derive(Clone, Debug)]
pub enum Tls {}

impl Tls {
    pub(crate) async fn secure<Tcp>(&self, _host: &str, _tcp: Tcp) -> io::Result<Tcp> {
        match *self {}
    }
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[error("TLS is needed and not compiled in; turn on the feature `ring` or `aws-lc-rs`")]
pub(crate) struct NoTls;

/// Why no connection can be encrypted.
pub(crate) fn missing() -> Option<NoTls> {
    Some(NoTls)
}

/// No certificates.
#[derive(Debug, Default)]
pub(crate) struct OwnRoots(());

impl OwnRoots {
    pub(crate) fn with_public_roots(&self) -> Result<Tls, NoTls> {
        Err(NoTls)
    }

    pub(crate) fn with_system_roots(&self) -> Result<Tls, NoTls> {
        Err(NoTls)
    }
}

/// Whether an error comes from TLS, and not from the network beneath.
#[must_use]
pub fn is_tls(_: &(dyn std::error::Error + 'static)) -> bool {
    false
}
