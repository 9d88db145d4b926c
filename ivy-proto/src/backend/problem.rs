//! What can be wrong with a backend's configuration.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What is wrong with a URL, and what to write instead. Holds nothing of the URL itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It has more than 64 KiB.
    #[error("it is longer than 64 KiB")]
    TooLong,
    /// It does not begin with a scheme.
    #[error("it must begin with one of {accepted}")]
    NoScheme {
        /// The beginnings that are understood.
        accepted: String,
    },
    /// It begins with a scheme that is not understood here.
    #[error("its scheme is not known here; it must begin with one of {accepted}")]
    UnknownScheme {
        /// The beginnings that are understood.
        accepted: String,
    },
    /// It begins with a scheme that an optional part of ivy brings, which is not compiled in.
    #[error(
        "its scheme needs the feature `{feature}`, which is not compiled in; turn it on, or begin with one of {accepted}"
    )]
    MissingFeature {
        /// The feature of the adapter's crate.
        feature: &'static str,
        /// The beginnings that are understood.
        accepted: String,
    },
    /// The scheme is that of a backend that can be a notifier only.
    #[error(
        "its backend cannot be a queue, only a notifier; the URL of a queue must begin with one of {accepted}"
    )]
    NotAQueue {
        /// The beginnings that are understood.
        accepted: String,
    },
    /// The scheme is that of a backend that can be a queue only.
    #[error(
        "its backend cannot be a notifier, only a queue; the URL of a notifier must begin with one of {accepted}"
    )]
    NotANotifier {
        /// The beginnings that are understood.
        accepted: String,
    },
    /// It holds a space or a control character.
    #[error("a space or control character must be percent-encoded, a space as %20")]
    Space,
    /// A `%` is not followed by two hexadecimal digits, or what is encoded is no UTF-8.
    #[error("each % must begin a percent-encoded UTF-8 character; write % itself as %25")]
    Escape,
    /// There is an `@` behind the host.
    #[error(
        "a / ? or # in the credentials must be written as %2F, %3F or %23, and an @ in the path as %40"
    )]
    MisplacedAt,
    /// It holds a query, or a key that is not known.
    #[error("no query is understood; leave out the ? and what follows it")]
    Query,
    /// It holds a key that is none of these.
    #[error("of a query, only these keys are understood: {known}")]
    UnknownKey {
        /// The keys.
        known: String,
    },
    /// It holds a fragment.
    #[error("no fragment is understood; leave out the # and what follows it")]
    Fragment,
    /// The port is not a number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// The host is neither a name nor an address.
    #[error(
        "the host must be a name, an IPv4 address, or an IPv6 address in brackets; an international name is written in its ASCII form, as xn--..."
    )]
    Host,
    /// There is no host where one is needed.
    #[error("the host is missing")]
    NoHost,
    /// There is something behind the scheme.
    #[error("nothing follows memory://")]
    NotBare,
    /// Something that only the backend knows.
    #[error("{0}")]
    Backend(BackendError),
}

impl UrlProblem {
    /// What the backend finds wrong.
    #[must_use]
    pub fn backend(error: impl Error + Send + Sync + 'static) -> Self {
        UrlProblem::Backend(BackendError::new(error))
    }
}

/// What a backend finds wrong with its configuration, in its own words. It must show no secret. Two of
/// them are equal if they say the same.
#[derive(Clone)]
pub struct BackendError(Arc<dyn Error + Send + Sync>);

impl BackendError {
    /// This error.
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
