//! What a frame holds, once it is open.

use zeroize::Zeroizing;

/// The bytes as a text, in the same place. What is no text is wiped here.
pub(super) fn text_of(mut bytes: Zeroizing<Vec<u8>>) -> Option<Zeroizing<String>> {
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            None
        }
    }
}
