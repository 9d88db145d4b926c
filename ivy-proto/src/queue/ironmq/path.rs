//! Names as parts of a URL: each encoded once, so that none can climb out of its place.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::id::MessageId;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest id that is taken for one, in bytes. IronMQ's have 19 digits, and those of
/// reservations 32.
pub(super) const LONGEST_ID: usize = 1024;

/// A text as one segment of a path, or as another part of a URL.
pub(crate) fn segment(text: &str) -> Cow<'_, str> {
    match text {
        // These two mean "here" and "one up" to everyone who reads the path.
        "." => Cow::Borrowed("%2E"),
        ".." => Cow::Borrowed("%2E%2E"),
        _ => utf8_percent_encode(text, RESERVED).into(),
    }
}

/// A message's id as one segment of a path.
///
/// An empty segment would turn the deletion of one message into that of all, and an endless one
/// would make a URL that cannot be sent. No server gave such an id; what stands in for it names no
/// message either, and the server says so.
pub(super) fn message_segment(id: &MessageId) -> Cow<'_, str> {
    if (1..=LONGEST_ID).contains(&id.as_str().len()) {
        segment(id.as_str())
    } else {
        Cow::Borrowed("-")
    }
}
