//! Errors in the configuration of a backend.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What is wrong with a URL, and what to write instead. Contains no part of the URL itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// The URL is empty.
    #[error("it is empty")]
    Empty,
    /// The URL is longer than 64 KiB.
    #[error("it is longer than 64 KiB")]
    TooLong,
    /// The URL does not begin with a scheme.
    #[error("it must begin with one of {accepted}")]
    NoScheme {
        /// The accepted prefixes.
        accepted: String,
    },
    /// The scheme is unknown.
    #[error("its scheme is not known here; it must begin with one of {accepted}")]
    UnknownScheme {
        /// The accepted prefixes.
        accepted: String,
    },
    /// The scheme belongs to an optional part of ivy that is not compiled in.
    #[error(
        "its scheme needs the feature `{feature}`, which is not compiled in; turn it on, or begin with one of {accepted}"
    )]
    MissingFeature {
        /// The feature of the adapter's crate.
        feature: &'static str,
        /// The accepted prefixes.
        accepted: String,
    },
    /// The backend of the scheme can only be a notifier.
    #[error(
        "its backend can only be a notifier, not a queue; the URL of a queue must begin with one of {accepted}"
    )]
    NotAQueue {
        /// The accepted prefixes.
        accepted: String,
    },
    /// The backend of the scheme can only be a queue.
    #[error(
        "its backend can only be a queue, not a notifier; the URL of a notifier must begin with one of {accepted}"
    )]
    NotANotifier {
        /// The accepted prefixes.
        accepted: String,
    },
    /// The URL contains a space or a control character.
    #[error("a space or control character must be percent-encoded, a space as %20")]
    Space,
    /// A `%` is not followed by two hexadecimal digits, or the decoded bytes are not UTF-8.
    #[error("each % must begin a percent-encoded UTF-8 character; write % itself as %25")]
    Escape,
    /// There is an `@` after the host.
    #[error(
        "a / ? or # in the credentials must be written as %2F, %3F or %23, and an @ in the path as %40"
    )]
    MisplacedAt,
    /// The URL has a query, but this backend accepts none.
    #[error("a query is not supported; remove the ? and what follows it")]
    Query,
    /// The query contains an unknown key.
    #[error("the query may only contain these keys: {known}")]
    UnknownKey {
        /// The known keys.
        known: String,
    },
    /// The URL has a fragment.
    #[error("a fragment is not supported; remove the # and what follows it")]
    Fragment,
    /// The port is not a number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// The host is neither a name nor an address.
    #[error(
        "the host must be a name, an IPv4 address, or an IPv6 address in brackets; an international name is written in its ASCII form, as xn--..."
    )]
    Host,
    /// The host is missing.
    #[error("the host is missing")]
    NoHost,
    /// Something other than the name of a shared memory follows `memory://`.
    #[error(
        "only a name may follow memory://, written like that of a host, with up to 64 characters; or nothing, for a memory that is private to one Ivy and its clones"
    )]
    NotAMemoryName,
    /// An error that the backend reports.
    #[error("{0}")]
    Backend(BackendError),
}

impl UrlProblem {
    /// Wraps an error of the backend.
    #[must_use]
    pub fn backend(error: impl Error + Send + Sync + 'static) -> Self {
        UrlProblem::Backend(BackendError::new(error))
    }
}

/// An error that a backend reports about its configuration. It must contain no secret. Two are
/// equal if their texts are equal.
#[derive(Clone)]
pub struct BackendError(Arc<dyn Error + Send + Sync>);

impl BackendError {
    /// Wraps the backend's error.
    #[must_use]
    pub fn new(error: impl Error + Send + Sync + 'static) -> Self {
        BackendError(Arc::new(error))
    }

    /// The backend's own error, to be downcast.
    #[must_use]
    pub fn get(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl PartialEq for BackendError {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for BackendError {}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for BackendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
