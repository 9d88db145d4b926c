//! Short ASCII texts, stored without an allocation: every message has several.

use std::fmt;

/// The maximum size of a text, in bytes. The longest one is a receipt: a field with ten digits of
/// touches, a separator, and the sixteen digits of a time.
const MOST: usize = 48;

/// An ASCII text of at most 48 bytes.
#[derive(Clone, Copy)]
pub(crate) struct ShortText {
    bytes: [u8; MOST],
    length: usize,
}

impl ShortText {
    /// Appends ASCII bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }

    /// Appends a number in decimal.
    pub(crate) fn push_number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number).as_bytes());
    }

    /// Appends a number in hexadecimal, without leading zeros.
    pub(crate) fn push_hex(&mut self, number: u64) {
        let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
        for position in (0..digits).rev() {
            let digit = (number >> (4 * position)) & 15;
            self.push(&[b"0123456789abcdef"[digit as usize]]);
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.length]).expect("it is ASCII")
    }
}

impl Default for ShortText {
    fn default() -> Self {
        ShortText { bytes: [0; MOST], length: 0 }
    }
}

impl AsRef<[u8]> for ShortText {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_in_decimal_and_in_hexadecimal(number: u64, small in 0_u64..300) {
            for number in [number, small] {
                let mut text = ShortText::default();
                text.push_number(number);
                text.push(b"@");
                text.push_hex(number);
                let expected = format!("{number}@{number:x}");
                prop_assert_eq!(text.as_str(), expected.as_str());
            }
        }
    }
}
