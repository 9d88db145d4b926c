//! Errors in a configuration.

use std::fmt;

use super::bad_url::BadUrl;
use super::environment::Origin;
use crate::backend::BackendError;
use crate::name::InvalidName;
use crate::text::Escaped;
use crate::wire::crypto::{BadKeyset, InvalidEncryption};

/// The configuration is invalid. Names the part, the problem and what to write instead; never
/// contains a token, a password or a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A URL is invalid.
    #[error("{origin}: {error}")]
    BadUrl {
        /// Where it was found.
        origin: Origin,
        /// What is wrong with it.
        error: BadUrl,
    },
    /// A channel name is invalid.
    #[error("{origin}: {error}")]
    BadChannel {
        /// Where it was found.
        origin: Origin,
        /// What is wrong with it.
        error: InvalidName,
    },
    /// A value is invalid.
    #[error("{origin}: it must be {expected}")]
    BadValue {
        /// Where it was found.
        origin: Origin,
        /// What is required.
        expected: &'static str,
    },
    /// A configuration file is invalid.
    #[error("{path}: it must be {expected}")]
    BadFile {
        /// The file, with `~` for the home directory.
        path: &'static str,
        /// What is required.
        expected: &'static str,
    },
    /// A backend of the program claims an invalid scheme or `memory`.
    #[error(
        "the backend {backend} cannot use the scheme {scheme:?}: a scheme is a lower-case letter followed by lower-case letters, digits, +, - or ., and must not be memory"
    )]
    BadScheme {
        /// The name of the backend.
        backend: &'static str,
        /// The scheme.
        scheme: &'static str,
    },
    /// An error that a backend reports.
    #[error("{error}")]
    Backend {
        /// The backend's error.
        error: BackendError,
    },
    /// No queue is configured.
    #[error("no queue is configured: {ways}")]
    NoQueue {
        /// How to configure one.
        ways: String,
    },
    /// A keyset is invalid.
    #[error("{origin}: {}{error}", PathPrefix(.path))]
    BadKeyset {
        /// Where the keyset or its path was found.
        origin: Origin,
        /// The path of its file, if it is in a file. `None` if the value does not look like a path,
        /// because it may be a secret that was set by mistake.
        path: Option<String>,
        /// What is wrong with it.
        error: BadKeyset,
    },
    /// An encryption policy requires keys that are missing.
    #[error("{error}")]
    BadEncryption {
        /// What is missing.
        error: InvalidEncryption,
    },
    /// The encryption password is empty or white space. Refused, so that nothing is sent
    /// unencrypted by mistake.
    #[error(
        "{origin}: the encryption password is blank; set a real one, or remove it to send messages unencrypted"
    )]
    BlankPassword {
        /// Where it was found.
        origin: Origin,
    },
}

impl ConfigError {
    /// Wraps an error of a backend. Its text must name the origin and contain no secret.
    #[must_use]
    pub fn backend(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        ConfigError::Backend { error: BackendError::new(error) }
    }
}

/// The path of a file, as a prefix of the message.
struct PathPrefix<'a>(&'a Option<String>);

impl fmt::Display for PathPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |path| write!(f, "{}: ", Escaped(path)))
    }
}
