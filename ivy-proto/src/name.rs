//! Names of queues, tasks and notification channels, validated on creation.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::name_text::NameText;
use crate::text::{Escaped, is_plain, is_printable};

/// The longest name, in bytes.
const MAX_LEN: usize = 255;

/// The longest suffix that ivy adds to the name of a queue.
const LONGEST_SUFFIX: &str = ".p9.dead";
/// The longest name of a queue to which every suffix can be added, in bytes.
const MAX_QUEUE_LEN: usize = MAX_LEN - LONGEST_SUFFIX.len();

/// Why a text is not a valid name. Describes the problem without repeating the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The text is longer than 255 bytes.
    #[error("a name must be at most 255 bytes long, but it has {0}")]
    TooLong(usize),
    /// The name of a queue leaves no room for what is derived from it, up to `.p9.dead`.
    #[error(
        "the name of a queue must be at most {MAX_QUEUE_LEN} bytes long, so that `.p9.dead` fits behind it, \
         but it has {0}"
    )]
    NoRoomForSuffixes(usize),
    /// The text contains a control character, or one that changes the direction of writing.
    #[error("a name must not contain control characters; there is one at byte {0}")]
    ControlCharacter(usize),
}

/// Whether a text is a valid name.
pub(crate) fn is_name(text: &str) -> bool {
    check(text).is_ok()
}

fn check(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > MAX_LEN {
        return Err(InvalidName::TooLong(text.len()));
    }
    if is_printable(text) {
        return Ok(());
    }
    match text.char_indices().find(|(_, character)| !is_plain(*character)) {
        Some((position, _)) => Err(InvalidName::ControlCharacter(position)),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$docs:meta])* $name:ident) => {
        $(#[$docs])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NameText);

        impl $name {
            /// Validates the text.
            ///
            /// # Errors
            /// If the text is empty, longer than 255 bytes, or contains a control character.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                check(text)?;
                Ok($name(NameText::from(text)))
            }

            /// Validates the text without copying it.
            pub(crate) fn of(text: NameText) -> Result<Self, InvalidName> {
                check(&text)?;
                Ok($name(text))
            }

            /// The name's text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                $name::new(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", Escaped(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }
    };
}

name! {
    /// The name of a queue inside a queue backend.
    ///
    /// Messages are posted to the *physical* queue: the task's route, or else its queue, with a
    /// suffix for priorities above 0 (see [`QueueName::with_priority`]).
    QueueName
}

name! {
    /// The name of a task. Producer and worker use the same name.
    TaskName
}

name! {
    /// The name of a notification channel.
    ChannelName
}

/// The number of base64url characters that follow the prefix in the name of a reply channel.
const REPLY_NAME: usize = 22;

impl ChannelName {
    /// Whether this is the private channel of one producer, `<prefix>.r.` and 22 characters of
    /// base64url.
    #[must_use]
    pub fn is_reply_channel(&self) -> bool {
        self.reply_prefix().is_some()
    }

    /// The prefix of a reply channel; `None` for another channel.
    #[must_use]
    pub fn reply_prefix(&self) -> Option<&str> {
        ChannelName::reply_prefix_in(&self.0)
    }

    /// Like [`reply_prefix`](Self::reply_prefix), for a text that need not be a valid channel name.
    pub(crate) fn reply_prefix_in(text: &str) -> Option<&str> {
        let (prefix, name) = text.split_at_checked(text.len().checked_sub(REPLY_NAME)?)?;
        let of_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        prefix.strip_suffix(".r.").filter(|_| name.bytes().all(of_base64url))
    }

    /// The channel on which workers of this notification channel publish what they do: its name
    /// with the suffix `.w`.
    ///
    /// # Errors
    /// If the name with its suffix is too long.
    pub fn presence(&self) -> Result<ChannelName, InvalidName> {
        ChannelName::new(&format!("{}.w", self.as_str()))
    }

    /// The name's text, shared rather than copied.
    pub(crate) fn to_shared(&self) -> Arc<str> {
        self.0.to_shared()
    }
}

/// The suffix of dead-letter queues.
const DEAD: &str = ".dead";

impl QueueName {
    /// The physical queue for messages of this priority: the name itself for priority 0, which
    /// peers of the Node package use, and with the suffix `.p1` to `.p9` for the others.
    ///
    /// # Errors
    /// If the name with its suffix is too long.
    pub fn with_priority(&self, priority: Priority) -> Result<QueueName, InvalidName> {
        if priority == Priority::NORMAL {
            return Ok(self.clone());
        }
        QueueName::new(&format!("{}.p{}", self.as_str(), priority.number()))
    }

    /// The dead-letter queue of this queue: its name with the suffix `.dead`. Dead letters are
    /// retained as long as that queue retains messages.
    ///
    /// # Errors
    /// If the name with its suffix is too long.
    pub fn dead_letter_queue(&self) -> Result<QueueName, InvalidName> {
        QueueName::new(&format!("{}{DEAD}", self.as_str()))
    }

    /// The former name of [`dead_letter_queue`](QueueName::dead_letter_queue).
    ///
    /// # Errors
    /// If the name with its suffix is too long.
    #[deprecated(note = "renamed to `dead_letter_queue`: it returns the name of a queue")]
    pub fn dead_letters(&self) -> Result<QueueName, InvalidName> {
        self.dead_letter_queue()
    }

    /// Checks that the names of its queues for priorities and dead letters are not too long. A name
    /// that has such a suffix already leaves room for fewer.
    pub(crate) fn check_room_for_suffixes(&self) -> Result<(), InvalidName> {
        let base = self.0.strip_suffix(DEAD).unwrap_or(&self.0);
        let base = match base.split_at_checked(base.len().saturating_sub(".p9".len())) {
            Some((base, suffix)) if is_of_priority(suffix) => base,
            _ => base,
        };
        let is_short = base.len() <= MAX_QUEUE_LEN;
        if is_short { Ok(()) } else { Err(InvalidName::NoRoomForSuffixes(base.len())) }
    }

    /// The queue whose dead letters this queue contains; `None` if it is not a dead-letter queue.
    #[must_use]
    pub fn of_dead_letters(&self) -> Option<QueueName> {
        QueueName::new(self.0.strip_suffix(DEAD)?).ok()
    }
}

/// Whether a suffix is that of a queue for messages of a priority above 0.
fn is_of_priority(suffix: &str) -> bool {
    matches!(suffix.as_bytes(), [b'.', b'p', b'1'..=b'9'])
}

/// The priority of a message, 0 to 9. Messages with a larger number are reserved first; 0 is the
/// default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(u8);

impl Priority {
    /// Priority 0: the default, and the only one that peers of the Node package support.
    pub const NORMAL: Priority = Priority(0);
    /// Priority 9, the highest.
    pub const HIGHEST: Priority = Priority(9);

    /// The priority with this number, if it is at most 9.
    #[must_use]
    pub const fn new(number: u8) -> Option<Priority> {
        if number <= 9 { Some(Priority(number)) } else { None }
    }

    /// The priority's number, 0 to 9.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_long_and_unprintable_names_are_refused() {
        assert_eq!(QueueName::new(""), Err(InvalidName::Empty));
        assert_eq!(QueueName::new(&"x".repeat(1024)), Err(InvalidName::TooLong(1024)));
        for text in ["a\r\nb", "a\0b", "a\u{1b}[31m", "a\u{202e}b"] {
            assert_eq!(TaskName::new(text), Err(InvalidName::ControlCharacter(1)), "{text:?}");
        }
    }

    #[test]
    fn names_in_any_language_are_accepted_unchanged() {
        for text in ["ivy", "Überweisung", "任务", "a/b c?d"] {
            assert_eq!(QueueName::new(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn only_priorities_above_zero_change_the_queue() {
        let queue = QueueName::new("mail").unwrap();
        assert_eq!(queue.with_priority(Priority::NORMAL).unwrap(), queue);
        let urgent = queue.with_priority(Priority::HIGHEST).unwrap();
        assert_eq!(urgent.as_str(), "mail.p9");
        assert_eq!(urgent.dead_letter_queue().unwrap().as_str(), "mail.p9.dead");
    }

    #[test]
    fn a_dead_letter_queue_is_recognised_by_its_suffix() {
        let origin = |name| QueueName::new(name).unwrap().of_dead_letters();
        assert_eq!(origin("mail.p9.dead"), QueueName::new("mail.p9").ok());
        for live in ["mail", ".dead", "mail.dead.p1", "maildead"] {
            assert_eq!(origin(live), None, "{live}");
        }
    }
}
