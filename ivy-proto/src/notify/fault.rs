//! How asking a notifier can fail.

use crate::text::Escaped;

/// Publishing or subscribing failed. Never holds a password or a payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}{}", if .detail.is_empty() { String::new() } else { format!(": {}", Escaped(.detail)) })]
pub struct NotifyFault {
    kind: NotifyFaultKind,
    detail: String,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotifyFaultKind {
    /// There is no connection: nothing was published.
    #[error("cannot reach the notifier; check its address, and that it runs")]
    Unreachable,
    /// No secure connection could be made.
    #[error("cannot make a secure connection to the notifier; check host name and certificate")]
    Tls,
    /// The connection ended before the answer: it may have been published.
    #[error("the connection to the notifier was lost")]
    ConnectionLost,
    /// The user name or password is wrong or missing.
    #[error("the notifier refused the credentials; check user name and password")]
    Unauthorized,
    /// The user is known, and lacks a permission.
    #[error("the notifier's user lacks a permission")]
    NoPermission,
    /// The notifier answered with an error.
    #[error("the notifier refused the request")]
    Refused,
}

impl NotifyFault {
    /// A fault of this kind without further detail.
    #[must_use]
    pub fn new(kind: NotifyFaultKind) -> Self {
        NotifyFault { kind, detail: String::new() }
    }

    /// The same, with what the notifier or the system said. It is escaped and cut when printed,
    /// and must not hold a secret.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// What kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> NotifyFaultKind {
        self.kind
    }

    /// Whether it is certain that nothing was published, so that it may be tried again without
    /// publishing twice.
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
