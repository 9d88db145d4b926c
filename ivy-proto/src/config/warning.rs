//! What can be used and is dubious all the same.

use super::QueueConfig;
use crate::wire::crypto::Encryption;

/// Something that a person should know about the configuration. The core prints nothing; whoever
/// resolves the configuration says it once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// What a backend says of its configuration.
    #[error("{0}")]
    Backend(String),
    /// The original's encryption takes the low byte of each UTF-16 unit of the password only, so
    /// that many passwords are the same.
    #[error(
        "of the characters above U+00FF in the encryption password only a part counts; use others"
    )]
    LossyPassword,
    /// Nobody else could read the messages anyway.
    #[error("messages are encrypted though the queue is in the memory of this process")]
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
