//! What can be wrong with a configuration.

use std::fmt;

use super::environment::Origin;
use super::url::BadUrl;
use crate::name::InvalidName;
use crate::queue::ironmq::{BadToken, InvalidAddress};
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
    /// A token cannot be one.
    #[error("{origin}: {error}")]
    BadToken {
        /// Where it stands.
        origin: Origin,
        /// What is wrong with it.
        error: BadToken,
    },
    /// A host, port or project id cannot be one.
    #[error("{origin}: {error}")]
    BadAddress {
        /// Where it stands.
        origin: Origin,
        /// What is wrong with it.
        error: InvalidAddress,
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
    /// A part of the server stands in a weaker source than what it would be used together with.
    /// Whoever can write there could send the token to another server, or send it without TLS.
    #[error(
        "{origin} is not used together with the {what} of {stronger}, which is a stronger source: it could send the token to another server or unencrypted; set {variable} if it is meant, or write the token and the whole server in one place"
    )]
    WeakerSource {
        /// Where the part stands.
        origin: Origin,
        /// What it would be used together with: the token, the host, or the scheme.
        what: &'static str,
        /// Where that stands.
        stronger: Origin,
        /// The variable that says the same from a source which is strong enough.
        variable: &'static str,
    },
    /// Nothing says which queue to use.
    #[error(
        "no queue is configured: set IVY_QUEUE_URL to ironmq://TOKEN@HOST/PROJECT_ID or to memory://, or set IRON_MQ_TOKEN and IRON_MQ_PROJECT_ID"
    )]
    NoQueue,
    /// The project is known, and the token that opens it is not.
    #[error(
        "there is no token for the IronMQ project: write it as ironmq://TOKEN@HOST/PROJECT_ID, or set IRON_MQ_TOKEN"
    )]
    NoToken,
    /// The token is known, and the project that it opens is not.
    #[error(
        "there is no project id for IronMQ: write it as ironmq://TOKEN@HOST/PROJECT_ID, or set IRON_MQ_PROJECT_ID"
    )]
    NoProject,
    /// A keyset cannot be used.
    #[error("{origin}: {}{error}", Place(.path))]
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

/// The path of a file, as the beginning of what is told about it.
struct Place<'a>(&'a Option<String>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |path| write!(f, "{}: ", Escaped(path)))
    }
}
