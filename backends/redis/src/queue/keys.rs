//! The names of the keys of a queue.

use std::borrow::Cow;

use ivy_proto::QueueName;
use ivy_proto::backend::UrlProblem;

/// The format of the stored data. It is part of the key names, so that programs with different
/// formats do not interfere.
const FORMAT: u8 = 1;
/// The default prefix.
const PREFIX: &str = "ivy";
/// The longest prefix, in bytes.
const MAX_PREFIX: usize = 64;

/// The prefix of all key names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    prefix: String,
    prefix_with_format: String,
}

/// The text is not a valid prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the prefix must be 1 to 64 ASCII letters, digits or any of - _ . :")]
pub struct BadPrefix;

impl Default for Prefix {
    fn default() -> Self {
        Prefix { prefix: PREFIX.to_owned(), prefix_with_format: format!("{PREFIX}{FORMAT}") }
    }
}

impl Prefix {
    /// The prefix of a URL, or the default one.
    pub(crate) fn from_url(configured: Option<&str>) -> Result<Self, UrlProblem> {
        let Some(prefix) = configured else { return Ok(Prefix::default()) };
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let has_length = (1..=MAX_PREFIX).contains(&prefix.len());
        if !has_length || !prefix.bytes().all(is_allowed) {
            return Err(UrlProblem::backend(BadPrefix));
        }
        Ok(Prefix { prefix: prefix.to_owned(), prefix_with_format: format!("{prefix}{FORMAT}") })
    }

    /// The key that contains the names of all queues.
    pub(crate) fn queues(&self) -> String {
        format!("{}:queues", self.prefix_with_format)
    }

    /// The same key in the next format.
    pub(crate) fn queues_of_next_format(&self) -> String {
        format!("{}{}:queues", self.prefix, FORMAT + 1)
    }

    /// The keys of a queue.
    pub(crate) fn keys(&self, queue: &QueueName) -> Keys {
        let mut name = Cow::Borrowed(queue.as_str());
        // A name that begins with `}` would make the hash tag empty, and Redis would hash each key as a
        // whole. `%` is encoded too, so that different names stay different.
        for (character, encoded) in [('%', "%25"), ('{', "%7B"), ('}', "%7D")] {
            if name.contains(character) {
                name = Cow::Owned(name.replace(character, encoded));
            }
        }
        Keys { stem: [&self.prefix_with_format, ":{", &name, "}:"].concat() }
    }
}

/// The keys of one queue. All of them have the same hash tag, the text between the braces, so a
/// cluster stores them in one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    /// The part that all of them begin with.
    stem: String,
}

/// The name of a key, in two parts.
pub(crate) type Key<'a> = [&'a [u8]; 2];

impl Keys {
    /// A list: the ready messages, the first one at its head.
    pub(crate) fn ready(&self) -> Key<'_> {
        self.key(b"r")
    }

    /// A sorted set: the delayed messages, by due time.
    pub(crate) fn delayed(&self) -> Key<'_> {
        self.key(b"d")
    }

    /// A sorted set: the leases, by the time at which they end.
    pub(crate) fn leases(&self) -> Key<'_> {
        self.key(b"l")
    }

    /// A hash: the reserved messages, by reservation (`h` for held).
    pub(crate) fn reserved(&self) -> Key<'_> {
        self.key(b"h")
    }

    /// A list: the messages popped by waiting reserves (`BLMOVE`), until their scripts reserve
    /// them (`p` for popped).
    pub(crate) fn claimed(&self) -> Key<'_> {
        self.key(b"p")
    }

    /// `KEYS[1]` to `KEYS[4]` of every script except `get.lua`.
    pub(crate) fn script_keys(&self) -> [Key<'_>; 4] {
        [self.ready(), self.delayed(), self.leases(), self.reserved()]
    }

    fn key<'a>(&'a self, part: &'a [u8]) -> Key<'a> {
        [self.stem.as_bytes(), part]
    }
}

/// The name of a key, to be shown.
pub(crate) fn shown(key: Key<'_>) -> String {
    String::from_utf8_lossy(&key.concat()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(queue: &str) -> String {
        let prefix = Prefix::from_url(None).unwrap();
        let keys = prefix.keys(&QueueName::new(queue).unwrap());
        shown(keys.ready())
    }

    #[test]
    fn the_name_of_a_queue_is_in_braces_and_contains_none() {
        assert_eq!(ready("mail.p1"), "ivy1:{mail.p1}:r");
        assert_eq!(ready("{a}{}"), "ivy1:{%7Ba%7D%7B%7D}:r");
        assert_eq!(ready("100%"), "ivy1:{100%25}:r");
        assert_ne!(ready("%7B"), ready("{"));
    }

    #[test]
    fn a_prefix_contains_no_character_that_would_change_the_slot() {
        assert_eq!(Prefix::from_url(Some("shop:eu")).unwrap().queues(), "shop:eu1:queues");
        for refused in ["", "{", "a}", "a b", "a*", "\u{e9}", &"x".repeat(65)] {
            assert!(Prefix::from_url(Some(refused)).is_err(), "{refused}");
        }
    }
}
