//! Warnings about a valid configuration.

use super::{NotifierConfig, QueueConfig};
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
    /// The queue is shared by several `Ivy`, and the notifier is not.
    #[error(
        "the queue is shared in this process, but the notifier memory:// is private to this Ivy, so results of workers of other Ivys do not arrive; leave the notifier out, or give it the queue's URL"
    )]
    PrivateNotifier,
}

impl Warning {
    pub(super) fn about(
        queue: Option<&QueueConfig>,
        notifier: Option<&NotifierConfig>,
        encryption: &Encryption,
    ) -> Vec<Warning> {
        let password = encryption.password();
        let mut warnings = Vec::new();
        match queue {
            Some(QueueConfig::Backend(backend)) => {
                warnings.extend(backend.warnings().iter().cloned().map(Warning::Backend));
            }
            Some(QueueConfig::Memory | QueueConfig::SharedMemory(_))
                if password.is_some() || encryption.keyring().is_some() =>
            {
                warnings.push(Warning::NeedlessEncryption);
            }
            _ => {}
        }
        if let (Some(QueueConfig::SharedMemory(_)), Some(NotifierConfig::Memory)) =
            (queue, notifier)
        {
            warnings.push(Warning::PrivateNotifier);
        }
        if password.is_some_and(|password| password.expose().chars().any(|c| c > '\u{ff}')) {
            warnings.push(Warning::LossyPassword);
        }
        warnings
    }
}
