//! Secret texts that are wiped from memory on drop.

use std::fmt;
use std::ops::Deref;

use zeroize::{Zeroize, Zeroizing};

/// A text before it is sealed or after it was opened. Wiped on drop; `Debug` shows only the length.
#[derive(PartialEq, Eq)]
pub struct Plaintext(String);

impl Plaintext {
    pub(super) fn new(text: String) -> Self {
        Plaintext(text)
    }

    /// Converts the bytes to a text without copying them. Bytes that are not UTF-8 are wiped.
    pub(super) fn of_bytes(mut bytes: Zeroizing<Vec<u8>>) -> Option<Self> {
        match String::from_utf8(std::mem::take(&mut *bytes)) {
            Ok(text) => Some(Plaintext(text)),
            Err(error) => {
                wipe(error.into_bytes());
                None
            }
        }
    }

    /// The text, which is not wiped any more.
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

/// Wipes sixteen bytes per step, because byte by byte, `zeroize` would take an eighth of the time
/// needed to open a large text.
fn wipe(mut bytes: Vec<u8>) {
    // The spare capacity may contain parts of the text.
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
    fn bytes_that_are_not_utf8_are_not_a_plaintext() {
        let bytes = |bytes: &[u8]| Plaintext::of_bytes(Zeroizing::new(bytes.to_vec()));
        assert_eq!(bytes(b"caf\xc3\xa9").unwrap().as_str(), "café");
        assert!(bytes(b"caf\xc3").is_none());
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", Plaintext::new("secret".to_owned())), "Plaintext(6 bytes)");
    }
}
