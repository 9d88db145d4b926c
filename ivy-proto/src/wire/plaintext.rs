//! Texts that are not to be read by everybody: they are wiped from memory when they are dropped.

use std::fmt;
use std::ops::Deref;

use zeroize::{Zeroize, Zeroizing};

/// A text that was sealed, or is about to be. Wiped when dropped; its `Debug` shows the length only.
#[derive(PartialEq, Eq)]
pub struct Plaintext(String);

impl Plaintext {
    pub(super) fn new(text: String) -> Self {
        Plaintext(text)
    }

    /// The bytes as a text, in the same place. What is no text is wiped here.
    pub(super) fn of_bytes(mut bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Some(Plaintext(text)),
            Err(error) => {
                wipe(error.into_bytes());
                None
            }
        }
    }

    /// The text, which nobody wipes any more.
    pub(super) fn into_open(mut self) -> String {
        std::mem::take(&mut self.0)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Plaintext {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.len())
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.0).into_bytes());
    }
}

/// Wipes sixteen bytes at a time, where `zeroize` by itself takes one after the other: of a large
/// text, that would be an eighth of what it takes to open it.
fn wipe(mut bytes: Vec<u8>) {
    // What lies behind its end may have been a part of it.
    bytes.resize(bytes.capacity(), 0);
    let (start, middle, end) = bytemuck::pod_align_to_mut::<u8, u128>(&mut bytes);
    start.zeroize();
    middle.zeroize();
    end.zeroize();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_give_none() {
        let bytes = |bytes: &[u8]| Plaintext::of_bytes(Zeroizing::new(bytes.to_vec()));
        assert_eq!(bytes(b"caf\xc3\xa9").unwrap().as_str(), "café");
        assert!(bytes(b"caf\xc3").is_none());
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", Plaintext::new("secret".to_owned())), "Plaintext(6 bytes)");
    }
}
