//! The identifiers of ivy: each a type of its own, so that none can stand in for another.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Identifies a scheduled task from the call to its result, across retries and resends.
///
/// 128 random bits, written as 22 characters of base64url. It travels in `options.ivy.id`.
///
/// ```
/// use ivy_proto::TaskId;
///
/// let id = TaskId::from_random([7; 16]);
/// assert_eq!(id.to_string(), "BwcHBwcHBwcHBwcHBwcHBw");
/// assert_eq!(id.to_string().parse(), Ok(id));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId([u8; 16]);

impl TaskId {
    /// The id made of sixteen random bytes.
    #[must_use]
    pub const fn from_random(bytes: [u8; 16]) -> Self {
        TaskId(bytes)
    }

    /// The length of its text.
    pub(crate) const ENCODED: usize = 22;

    /// Its text, written into this room.
    pub(crate) fn encoded(self, room: &mut [u8; TaskId::ENCODED]) -> &str {
        URL_SAFE_NO_PAD.encode_slice(self.0, room).expect("16 bytes are 22 characters");
        std::str::from_utf8(room).expect("base64 is ASCII")
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encoded(&mut [0; TaskId::ENCODED]))
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a task id: 22 characters of base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a task id: it must be 22 characters of base64url")]
pub struct InvalidTaskId;

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        if text.len() != TaskId::ENCODED {
            return Err(InvalidTaskId);
        }
        // The decoder wants room for whole groups of three bytes.
        let mut room = [0; 18];
        URL_SAFE_NO_PAD.decode_slice(text, &mut room).map_err(|_| InvalidTaskId)?;
        room.first_chunk().map(|bytes| TaskId(*bytes)).ok_or(InvalidTaskId)
    }
}

/// Identifies a message in its queue. The queue chooses it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Arc<str>);

/// Identifies one reservation of a message. The queue chooses it, and replaces it at each touch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(Arc<str>);

macro_rules! text_id {
    ($name:ident) => {
        impl $name {
            /// The id with this text.
            #[must_use]
            pub fn new(text: impl Into<Arc<str>>) -> Self {
                $name(text.into())
            }

            /// The id's text, as the queue wrote it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", crate::text::Escaped(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

text_id!(MessageId);
text_id!(ReservationId);

/// What proves that a message is reserved by its holder: needed to delete, touch or release it.
///
/// Only a reservation gives one, and each touch replaces it, so a message that was never reserved
/// cannot be deleted by mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt {
    /// The reserved message.
    pub message: MessageId,
    /// The reservation that holds it.
    pub reservation: ReservationId,
}

/// Names a command that a machine gave, so that its answer finds the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(u64);

/// Names one run of a handler in one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(u64);

/// Hands out numbered ids, each once.
#[derive(Debug, Default)]
pub(crate) struct Counter(u64);

impl Counter {
    pub(crate) fn next_op(&mut self) -> OpId {
        OpId(self.next())
    }

    pub(crate) fn next_job(&mut self) -> JobId {
        JobId(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_id_of_another_length_or_alphabet_is_refused() {
        for text in [
            "",
            "short",
            "BwcHBwcHBwcHBwcHBwcHB",
            "BwcHBwcHBwcHBwcHBwcHB+",
            "BwcHBwcHBwcHBwcHBwcHBwc",
        ] {
            assert_eq!(text.parse::<TaskId>(), Err(InvalidTaskId), "{text:?}");
        }
    }
}
