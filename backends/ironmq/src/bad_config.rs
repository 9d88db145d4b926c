//! What can be wrong with the configuration of an IronMQ project.

use ivy_proto::config::{ConfigError, Origin};

use crate::address::InvalidAddress;
use crate::token::BadToken;

/// The configuration of an IronMQ project cannot be used. Never shows a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadConfig {
    /// A token cannot be one.
    #[error("{origin}: {error}")]
    Token {
        /// Where it stands.
        origin: Origin,
        /// What is wrong with it.
        error: BadToken,
    },
    /// A host, port or project id cannot be one.
    #[error("{origin}: {error}")]
    Address {
        /// Where it stands.
        origin: Origin,
        /// What is wrong with it.
        error: InvalidAddress,
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
}

impl From<BadConfig> for ConfigError {
    fn from(error: BadConfig) -> Self {
        ConfigError::backend(error)
    }
}
