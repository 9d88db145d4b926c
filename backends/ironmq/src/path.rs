//! Message ids as segments of a path.

use std::borrow::Cow;

use ivy_proto::MessageId;
use ivy_proto::backend::segment;

/// The longest id that is accepted, in bytes. IronMQ's message ids have 19 digits, its reservation
/// ids 32.
pub(crate) const MAX_ID_LENGTH: usize = 1024;

/// A message's id as one segment of a path.
///
/// An empty segment would turn the deletion of one message into that of all, and an endless one
/// would make a URL that cannot be sent. No server returns such an id; its replacement matches no
/// message either, and the server reports that.
pub(crate) fn message_segment(id: &MessageId) -> Cow<'_, str> {
    if (1..=MAX_ID_LENGTH).contains(&id.as_str().len()) {
        segment(id.as_str())
    } else {
        Cow::Borrowed("-")
    }
}
