//! Warnings about a valid configuration.

use super::QueueConfig;
use crate::wire::crypto::Encryption;

/// A warning about the configuration. The core prints nothing; the caller of `resolve` must log it
/// once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// A warning that a backend reports.
    #[error("{0}")]
    Backend(String),
    /// The Node package's encryption uses only the low byte of each UTF-16 unit of the password, so
    /// many passwords are equivalent.
    #[error(
        "only a part of each character above U+00FF in the encryption password is used; choose other characters"
    )]
    LossyPassword,
    /// Encryption is useless in memory.
    #[error("messages are encrypted although the queue is in the memory of this process")]
    NeedlessEncryption,
}

impl Warning {
    pub(super) fn about(queue: Option<&QueueConfig>, encryption: &Encryption) -> Vec<Warning> {
        let password = encryption.password();
        let mut warnings = Vec::new();
        match queue {
            Some(QueueConfig::Backend(backend)) => {
                warnings.extend(backend.warnings().iter().cloned().map(Warning::Backend));
            }
            Some(QueueConfig::Memory) if password.is_some() || encryption.keyring().is_some() => {
                warnings.push(Warning::NeedlessEncryption);
            }
            _ => {}
        }
        if password.is_some_and(|password| password.expose().chars().any(|c| c > '\u{ff}')) {
            warnings.push(Warning::LossyPassword);
        }
        warnings
    }
}
