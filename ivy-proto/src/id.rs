//! The identifiers of ivy, each a type of its own, so that they cannot be confused.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// Identifies a called task from the call to its result, across retries and resends.
///
/// 128 bits, random or [derived](TaskId::derived) from a key of the application, written as 22
/// characters of base64url. Sent in `options.ivy.id`.
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
    /// Creates the id from sixteen random bytes.
    #[must_use]
    pub const fn from_random(bytes: [u8; 16]) -> Self {
        TaskId(bytes)
    }

    /// The id that stands for a key of the application, for [`CallOptions::id`]: the first sixteen
    /// bytes of the SHA-256 of the namespace's length in bytes (32 bits, big endian), the
    /// namespace, and the key. Every peer derives the same id.
    ///
    /// A namespace usually is the name of a task. Different namespaces give different ids for the
    /// same key. The key is not secret: who knows the id can guess it.
    ///
    /// ```
    /// use ivy_proto::TaskId;
    ///
    /// let id = TaskId::derived("shop.pay", "order-1729");
    /// assert_eq!(id, TaskId::derived("shop.pay", b"order-1729"));
    /// assert_ne!(id, TaskId::derived("shop.ship", "order-1729"));
    /// ```
    ///
    /// [`CallOptions::id`]: crate::task::CallOptions::id
    #[must_use]
    pub fn derived(namespace: &str, key: impl AsRef<[u8]>) -> Self {
        // No namespace is longer than 4 GiB.
        let length = u32::try_from(namespace.len()).unwrap_or(u32::MAX);
        let digest = Sha256::new()
            .chain_update(length.to_be_bytes())
            .chain_update(namespace)
            .chain_update(key)
            .finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        TaskId(id)
    }

    /// The length of its text.
    pub(crate) const ENCODED: usize = 22;

    /// Writes the text into `room`.
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
        // The decoder requires room for whole groups of three bytes.
        let mut room = [0; 18];
        URL_SAFE_NO_PAD.decode_slice(text, &mut room).map_err(|_| InvalidTaskId)?;
        room.first_chunk().map(|bytes| TaskId(*bytes)).ok_or(InvalidTaskId)
    }
}

/// Identifies a message in its queue. Assigned by the queue.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(IdText);

/// Identifies one reservation of a message. Assigned by the queue, and replaced by each touch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(IdText);

macro_rules! text_id {
    ($name:ident) => {
        impl $name {
            /// Creates an id from its text.
            #[must_use]
            pub fn new(text: impl AsRef<str>) -> Self {
                $name(IdText::new(text.as_ref()))
            }

            /// The id's text, as the queue sent it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                std::str::from_utf8(self.as_bytes()).expect("created from a str")
            }

            /// The bytes of the text.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                self.0.as_bytes()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", crate::text::Escaped(self.as_str()))
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

/// The text of an id. Each message has two, and those of most servers are short, so short ones are
/// stored inline without an allocation.
#[derive(Clone)]
enum IdText {
    Short { length: u8, bytes: [u8; IdText::SHORT] },
    Long(Arc<str>),
}

impl IdText {
    /// The length of 128 bits in hexadecimal, the form of the [`broker`](crate::broker)'s
    /// reservations. Its message ids are shorter.
    const SHORT: usize = 32;

    fn new(text: &str) -> Self {
        let mut bytes = [0; IdText::SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(room), Ok(length)) => {
                room.copy_from_slice(text.as_bytes());
                IdText::Short { length, bytes }
            }
            _ => IdText::Long(text.into()),
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            IdText::Short { length, bytes } => &bytes[..usize::from(*length)],
            IdText::Long(text) => text.as_bytes(),
        }
    }
}

impl PartialEq for IdText {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for IdText {}

impl PartialOrd for IdText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for IdText {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for IdText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

/// Proof that a message is reserved: required to delete, touch or release it.
///
/// Only a reservation returns a receipt, and each touch replaces it, so a message that was never
/// reserved cannot be deleted by mistake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt {
    /// The reserved message.
    pub message: MessageId,
    /// The reservation that holds it.
    pub reservation: ReservationId,
}

/// Identifies an operation that a machine requested, to match its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(u64);

/// Identifies one run of a handler in a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(u64);

impl JobId {
    /// A run with this number, for handlers that run without the machine of a worker.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        JobId(number)
    }
}

/// Generates consecutive ids.
#[derive(Debug, Default)]
pub(crate) struct IdGenerator(u64);

impl IdGenerator {
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_compare_like_their_texts(one in "[ab\0ä]{0,40}", other in "[ab\0ä]{0,40}") {
            let ids = [&one, &other].map(MessageId::new);
            prop_assert_eq!([ids[0].as_str(), ids[1].as_str()], [&*one, &*other]);
            prop_assert_eq!(ids[0].cmp(&ids[1]), one.cmp(&other));
            prop_assert_eq!(ids[0] == ids[1], one == other);
            prop_assert!(ids[0] == ids[0].clone());
        }
    }

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
