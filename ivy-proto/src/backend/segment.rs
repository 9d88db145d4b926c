//! Names as parts of a URL: each encoded once, so that none can climb out of its place.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as one segment of a path, or as another part of a URL.
#[must_use]
pub fn segment(text: &str) -> Cow<'_, str> {
    match text {
        // These two mean "here" and "one up" to everyone who reads the path.
        "." => Cow::Borrowed("%2E"),
        ".." => Cow::Borrowed("%2E%2E"),
        _ => utf8_percent_encode(text, RESERVED).into(),
    }
}
