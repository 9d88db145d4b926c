//! Percent-encoding of parts of a URL. Each text is encoded once, so that it cannot escape its
//! segment.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Encodes a text as one segment of a path, or as another part of a URL.
///
/// ```
/// assert_eq!(ivy_proto::backend::segment("a/b"), "a%2Fb");
/// assert_eq!(ivy_proto::backend::segment(".."), "%2E%2E");
/// ```
#[must_use]
pub fn segment(text: &str) -> Cow<'_, str> {
    match text {
        // URL parsers resolve these two as relative segments.
        "." => Cow::Borrowed("%2E"),
        ".." => Cow::Borrowed("%2E%2E"),
        _ => utf8_percent_encode(text, RESERVED).into(),
    }
}

/// Decodes a part of a URL. `None` if a `%` begins no escape, or the text is not UTF-8.
pub(super) fn decoded(part: &str) -> Option<String> {
    let mut escapes = part.split('%').skip(1);
    let is_hex = |escape: &str| {
        escape.len() >= 2 && escape.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
    };
    if !escapes.all(is_hex) {
        return None;
    }
    percent_decode_str(part).decode_utf8().map(Cow::into_owned).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_begins_an_escape() {
        assert_eq!(decoded("a%20b%C3%A4").unwrap(), "a b\u{e4}");
        for part in ["%", "%2", "%zz", "a%%20", "%ff"] {
            assert_eq!(decoded(part), None, "{part}");
        }
    }
}
