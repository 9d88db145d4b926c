//! Short texts that can be printed.

use std::fmt;

use crate::text::is_plain;
use crate::text::is_printable;

/// A printable text of at most 255 bytes, such as the name of a host.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortText(String);

/// The longest text, in bytes.
const LONGEST: usize = 255;

impl ShortText {
    /// The text, unless it is too long or contains a control character.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        (text.len() <= LONGEST && is_printable(text)).then(|| ShortText(text.to_owned()))
    }

    /// The text, truncated, with control characters replaced.
    #[must_use]
    pub fn lossy(text: &str) -> Self {
        let mut short = String::new();
        for character in text.chars() {
            let character = if is_plain(character) { character } else { '?' };
            if short.len() + character.len_utf8() > LONGEST {
                break;
            }
            short.push(character);
        }
        ShortText(short)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShortText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}
