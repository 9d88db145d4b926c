//! What can be wrong with a configuration.

use std::fmt;

use super::bad_url::BadUrl;
use super::environment::Origin;
use crate::backend::BackendError;
use crate::name::InvalidName;
use crate::text::Escaped;
use crate::wire::crypto::{BadKeyset, InvalidEncryption};

/// The configuration cannot be used. Names the part, says what is wrong with it and what to write
/// instead; never shows a token, a password or a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A URL is not understood.
    #[error("{origin}: {error}")]
    BadUrl {
        /// Where it stands.
        origin: Origin,
        /// What is wrong with it.
        error: BadUrl,
    },
    /// A channel name cannot be one.
    #[error("{origin}: {error}")]
    BadChannel {
        /// Where it stands.
        origin: Origin,
        /// What is wrong with it.
        error: InvalidName,
    },
    /// A value is not what it must be.
    #[error("{origin}: it must be {expected}")]
    BadValue {
        /// Where it stands.
        origin: Origin,
        /// What it must be.
        expected: &'static str,
    },
    /// A configuration file is not understood.
    #[error("{path}: it must be {expected}")]
    BadFile {
        /// The file, with `~` for the home directory.
        path: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A backend of the program's own takes a scheme that no URL can have, or that is ivy's own.
    #[error(
        "the backend {backend} cannot take the scheme {scheme:?}: a scheme is a lower-case letter and then lower-case letters, digits, +, - or ., and not memory"
    )]
    BadScheme {
        /// The name of the backend.
        backend: &'static str,
        /// The scheme.
        scheme: &'static str,
    },
    /// Something that only a backend knows.
    #[error("{error}")]
    Backend {
        /// What the backend says.
        error: BackendError,
    },
    /// Nothing says which queue to use.
    #[error("no queue is configured: {ways}")]
    NoQueue {
        /// What to do about it.
        ways: String,
    },
    /// A keyset cannot be used.
    #[error("{origin}: {}{error}", PathPrefix(.path))]
    BadKeyset {
        /// Where it stands, or where its path stands.
        origin: Origin,
        /// The path of its file, if it is in one. A path that does not look like one is left out:
        /// it may be a secret that was set there by mistake.
        path: Option<String>,
        /// What is wrong with it.
        error: BadKeyset,
    },
    /// What is to be encrypted, and how, cannot be done with the keys that there are.
    #[error("{error}")]
    BadEncryption {
        /// What is missing.
        error: InvalidEncryption,
    },
    /// The encryption password is empty or white space only. Nothing is sent in the clear by
    /// mistake.
    #[error(
        "{origin}: the encryption password is blank; set a real one, or remove it to send messages in the clear"
    )]
    BlankPassword {
        /// Where it stands.
        origin: Origin,
    },
}

impl ConfigError {
    /// What a backend finds wrong. Its text must name the place and show no secret.
    #[must_use]
    pub fn backend(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        ConfigError::Backend { error: BackendError::new(error) }
    }
}

/// The path of a file, as the beginning of what is told about it.
struct PathPrefix<'a>(&'a Option<String>);

impl fmt::Display for PathPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |path| write!(f, "{}: ", Escaped(path)))
    }
}
