//! Failures of notifier requests.

use crate::text::Escaped;

/// Publishing or subscribing failed. Never contains a password or a payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}{}", if .detail.is_empty() { String::new() } else { format!(": {}", Escaped(.detail)) })]
pub struct NotifyFault {
    kind: NotifyFaultKind,
    detail: String,
}

/// The kind of a [`NotifyFault`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyFaultKind {
    /// There was no connection: nothing was published.
    #[error("cannot reach the notifier; check its address, and that it runs")]
    Unreachable,
    /// The TLS handshake failed.
    #[error("cannot make a secure connection to the notifier; check host name and certificate")]
    Tls,
    /// The connection ended before the reply arrived: the notice may have been published.
    #[error("the connection to the notifier was lost")]
    ConnectionLost,
    /// The user name or password is wrong or missing.
    #[error("the notifier refused the credentials; check user name and password")]
    Unauthorized,
    /// The user lacks a permission.
    #[error("the notifier's user lacks a permission")]
    NoPermission,
    /// The notifier returned an error.
    #[error("the notifier refused the request")]
    Refused,
}

impl NotifyFaultKind {
    /// Its name, as in code.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            NotifyFaultKind::Unreachable => "Unreachable",
            NotifyFaultKind::Tls => "Tls",
            NotifyFaultKind::ConnectionLost => "ConnectionLost",
            NotifyFaultKind::Unauthorized => "Unauthorized",
            NotifyFaultKind::NoPermission => "NoPermission",
            NotifyFaultKind::Refused => "Refused",
        }
    }
}

impl NotifyFault {
    /// A fault of this kind without details.
    #[must_use]
    pub fn new(kind: NotifyFaultKind) -> Self {
        NotifyFault { kind, detail: String::new() }
    }

    /// Adds the error text of the notifier or the system. It is escaped and truncated when printed,
    /// and must not contain a secret.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> NotifyFaultKind {
        self.kind
    }

    /// Whether it is certain that nothing was published, so that a retry cannot publish twice.
    #[must_use]
    pub fn surely_not_published(&self) -> bool {
        match self.kind {
            NotifyFaultKind::ConnectionLost => false,
            NotifyFaultKind::Unreachable
            | NotifyFaultKind::Tls
            | NotifyFaultKind::Unauthorized
            | NotifyFaultKind::NoPermission
            | NotifyFaultKind::Refused => true,
        }
    }
}
