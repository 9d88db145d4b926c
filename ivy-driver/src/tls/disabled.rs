//! A build without TLS.

use std::io;

/// The TLS configuration of connections. A build without the feature `tls` has none.
#[derive(Clone, Debug)]
pub enum Tls {}

impl Tls {
    pub(crate) async fn secure<Tcp>(&self, _host: &str, _tcp: Tcp) -> io::Result<Tcp> {
        match *self {}
    }
}

/// Why TLS is unavailable.
#[derive(Debug, thiserror::Error)]
#[error("TLS is needed and not compiled in; turn on the feature `ring` or `aws-lc-rs`")]
pub(crate) struct NoTls;

/// Why TLS is unavailable, if it is.
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

/// Whether an error comes from TLS rather than from the network beneath.
pub(crate) fn is_tls(_: &(dyn std::error::Error + 'static)) -> bool {
    false
}
