//! Errors of reading a message body.

use std::fmt;

use crate::name::TaskName;
use crate::wire::crypto::KeyId;
use crate::wire::{Caller, DeadLetterReason};

/// A message body that cannot be read.
///
/// Contains the reason, the offset, and the task if its name was readable. It repeats nothing of
/// the body except the task's name and the id of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBody {
    reason: DeadLetterReason,
    detail: Detail,
    at: Option<usize>,
    task: Option<TaskName>,
    caller: Option<Box<Caller>>,
}

/// Details beyond the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Detail {
    Fixed(&'static str),
    /// The length of the name of the frame's kind. The name itself is dropped, because any text
    /// that begins with `$` seems to have one.
    UnknownKind(usize),
    Key(&'static str, KeyId),
    PeerFault,
}

impl BadBody {
    pub(super) fn new(reason: DeadLetterReason, detail: &'static str) -> Self {
        BadBody { reason, detail: Detail::Fixed(detail), at: None, task: None, caller: None }
    }

    /// The bytes are not UTF-8, or the body is another JSON value.
    pub(super) fn not_text() -> Self {
        BadBody::new(DeadLetterReason::BadJson, "the body is not a text")
    }

    pub(super) fn unknown_kind(name: &str) -> Self {
        BadBody {
            reason: DeadLetterReason::UnknownCipher,
            detail: Detail::UnknownKind(name.len()),
            at: None,
            task: None,
            caller: None,
        }
    }

    pub(super) fn with_key(reason: DeadLetterReason, detail: &'static str, key: &KeyId) -> Self {
        BadBody {
            reason,
            detail: Detail::Key(detail, key.clone()),
            at: None,
            task: None,
            caller: None,
        }
    }

    /// An authentic frame with invalid content. Its reason is that of an unauthentic one.
    pub(super) fn peer_fault() -> Self {
        let reason = DeadLetterReason::BadTag;
        BadBody { reason, detail: Detail::PeerFault, at: None, task: None, caller: None }
    }

    /// Sets the offset in the text that was read.
    pub(super) fn at(mut self, offset: usize) -> Self {
        self.at = Some(offset);
        self
    }

    /// Shifts the offset, for a text that starts at byte `start` of a larger one.
    pub(super) fn within(mut self, start: usize) -> Self {
        self.at = Some(start + self.at.unwrap_or(0));
        self
    }

    /// Sets the task of the message.
    pub(super) fn of(mut self, task: &TaskName) -> Self {
        self.task = Some(task.clone());
        self
    }

    /// Sets the caller, if it is known.
    pub(super) fn called_by(mut self, caller: Option<Caller>) -> Self {
        self.caller = caller.map(Box::new);
        self
    }

    /// The waiting caller, if it could be read.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.caller.as_deref()
    }

    /// The reason.
    #[must_use]
    pub fn reason(&self) -> DeadLetterReason {
        self.reason
    }

    /// Whether a peer holding the key sent invalid content: not an attack, but a bug in its
    /// program.
    #[must_use]
    pub fn is_peer_fault(&self) -> bool {
        self.detail == Detail::PeerFault
    }

    /// The problem without the reason, for texts that already name it.
    pub(crate) fn explanation(&self) -> String {
        Explanation(self).to_string()
    }

    /// The offset of the problem in the body, which is the opened one if it was a frame.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        self.at
    }

    /// The task, if its name could be read.
    #[must_use]
    pub fn task(&self) -> Option<&TaskName> {
        self.task.as_ref()
    }
}

impl fmt::Display for BadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, Explanation(self))
    }
}

impl std::error::Error for BadBody {}

/// Displays the problem without the reason.
struct Explanation<'a>(&'a BadBody);

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Explanation(bad) = self;
        match &bad.detail {
            Detail::Fixed(text) => f.write_str(text)?,
            Detail::UnknownKind(length) => {
                write!(f, "the body is a frame of an unknown kind, whose name has {length} bytes")?;
            }
            Detail::Key(text, key) => write!(f, "{text} (key {key})")?,
            Detail::PeerFault => f.write_str(
                "the frame is authentic, but its content has no padding; fix the program that sealed it",
            )?,
        }
        if let Some(offset) = bad.at {
            write!(f, " (at byte {offset})")?;
        }
        match &bad.task {
            Some(task) => write!(f, ", in a message of the task {task}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_contains_reason_offset_and_task() {
        let bad = BadBody::new(DeadLetterReason::BadOptions, "`retry` must be true or false")
            .at(3)
            .within(10)
            .of(&TaskName::new("mail.send").unwrap());
        assert_eq!(
            bad.to_string(),
            "BadOptions: `retry` must be true or false (at byte 13), in a message of the task mail.send"
        );
        assert_eq!(format!("BadOptions: {}", bad.explanation()), bad.to_string());
    }

    #[test]
    fn an_unknown_kind_of_frame_is_described_by_its_length() {
        let bad = BadBody::unknown_kind("card 4111-1111");
        let text = "UnknownCipher: the body is a frame of an unknown kind, whose name has 14 bytes";
        assert_eq!(bad.to_string(), text);
        assert!(!format!("{bad:?}").contains("4111"), "{bad:?}");
    }
}
