//! Key ids.

use std::fmt;
use std::str::FromStr;

/// The longest key id, in bytes.
const MAX_LENGTH: usize = 16;

/// Identifies a key in a keyset, and in each frame that it seals: 1 to 16 of `A-Z a-z 0-9 . _ -`.
/// Not secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Box<str>);

/// The text is not a valid key id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id must have 1 to 16 characters of A-Z, a-z, 0-9, '.', '_' and '-'")]
pub struct InvalidKeyId;

impl KeyId {
    /// Validates the text.
    ///
    /// # Errors
    /// If it is not 1 to 16 characters of the alphabet.
    pub fn new(text: &str) -> Result<Self, InvalidKeyId> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(is_plain) {
            Ok(KeyId(text.into()))
        } else {
            Err(InvalidKeyId)
        }
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        KeyId::new(text)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}
