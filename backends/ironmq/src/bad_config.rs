//! Errors in the configuration of an IronMQ project.

use ivy_proto::config::{ConfigError, Origin};

use crate::address::InvalidAddress;
use crate::token::BadToken;

/// The configuration of an IronMQ project is invalid. Never shows a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadConfig {
    /// A token is invalid.
    #[error("{origin}: {error}")]
    Token {
        /// Where it was found.
        origin: Origin,
        /// What is wrong with it.
        error: BadToken,
    },
    /// A host, port or project id is invalid.
    #[error("{origin}: {error}")]
    Address {
        /// Where it was found.
        origin: Origin,
        /// What is wrong with it.
        error: InvalidAddress,
    },
    /// A part of the server's address comes from a weaker source than the token or the part that it
    /// would be combined with. Anyone who can write to that source could redirect the token to
    /// another server or turn TLS off.
    #[error(
        "{origin} is not used together with the {what} of {stronger}, which is a stronger source: it could redirect the token to another server or turn TLS off; set {variable} if that is intended, or write the token and the whole server in one place"
    )]
    WeakerSource {
        /// Where the part was found.
        origin: Origin,
        /// What it would be combined with: the token, the host, or the scheme.
        what: &'static str,
        /// Where that was found.
        stronger: Origin,
        /// The variable that sets the same part from a source that is strong enough.
        variable: &'static str,
    },
    /// There is a project but no token for it.
    #[error(
        "there is no token for the IronMQ project: write it as ironmq://TOKEN@HOST/PROJECT_ID, or set IRON_MQ_TOKEN"
    )]
    NoToken,
    /// There is a token but no project id.
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
