//! The size of a body, as the Node package measures it.

use crate::queue::Body;

/// The largest message that the Node package sends, in the units of [`posted_utf16_units`].
pub const POSTED_UTF16_LIMIT: usize = 65_536;

/// The size of a body by the Node package's formula: the length of `JSON.stringify({body})`, which
/// JavaScript counts in UTF-16 units. Use it on the final body, after any encryption.
///
/// ```
/// use ivy_proto::queue::Body;
/// use ivy_proto::wire::posted_utf16_units;
///
/// assert_eq!(posted_utf16_units(&Body::new("")), "{\"body\":\"\"}".len());
/// assert_eq!(posted_utf16_units(&Body::new("a\"🚀")), 11 + 1 + 2 + 2);
/// ```
#[must_use]
pub fn posted_utf16_units(body: &Body) -> usize {
    let wrapping = r#"{"body":""}"#.len();
    body.as_str().chars().map(units).sum::<usize>() + wrapping
}

/// The number of units that `JSON.stringify` writes for a character.
fn units(character: char) -> usize {
    match character {
        '"' | '\\' | '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => 2,
        '\0'..='\u{1f}' => 6,
        other => other.len_utf16(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_character_counts_as_json_stringify_writes_it() {
        for (text, size) in [
            ("\u{8}\t\n\u{c}\r\"\\", 14),
            ("\0\u{1}\u{b}\u{1f}", 24),
            ("\u{7f}\u{e9}\u{2028}\u{feff}任", 5),
            ("🚀", 2),
        ] {
            assert_eq!(posted_utf16_units(&Body::new(text)) - 11, size, "{text:?}");
        }
    }
}
