//! Why a text is not a presence record.

use crate::wire::BadBody;

/// A publication that is not a presence record, or cannot be opened here. Describes the problem
/// without repeating the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPresence {
    /// It is too large.
    #[error("a presence record of {0} bytes, which is too large")]
    TooLarge(usize),
    /// It is not UTF-8.
    #[error("not a presence record: it is not UTF-8")]
    NotUtf8,
    /// It is sealed, and does not open.
    #[error("a sealed presence record that does not open here: {0}")]
    Sealed(#[from] BadBody),
    /// It is less protected than the queues that it names.
    #[error("a presence record that is less protected than its queues require")]
    Downgrade,
    /// It is not a JSON object, or a field is missing or invalid.
    #[error("not a presence record: {0}")]
    Invalid(&'static str),
    /// The version is not supported.
    #[error("a presence record of version {0}, which is not supported here; use a newer ivy")]
    UnsupportedVersion(u64),
}
