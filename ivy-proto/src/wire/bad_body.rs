//! Why a body could not be read.

use std::fmt;

use crate::name::TaskName;
use crate::wire::crypto::KeyId;
use crate::wire::{Caller, DeadLetterReason};

/// A message body that cannot become a task.
///
/// It tells the kind of the trouble, its place, and the task where that much was readable. Of the body
/// it repeats the task's name and the id of a key, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadBody {
    reason: DeadLetterReason,
    detail: Detail,
    at: Option<usize>,
    task: Option<TaskName>,
    caller: Option<Box<Caller>>,
}

/// What is said about the trouble beyond its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Detail {
    Fixed(&'static str),
    /// How many bytes the name of the frame's kind has. The name itself is not kept: a text that is no
    /// frame at all, but begins with `$`, seems to have one.
    UnknownKind(usize),
    Key(&'static str, KeyId),
    PeerFault,
}

impl BadBody {
    pub(super) fn new(reason: DeadLetterReason, detail: &'static str) -> Self {
        BadBody { reason, detail: Detail::Fixed(detail), at: None, task: None, caller: None }
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

    /// A frame that is authentic and broken inside. Its reason is that of one that is not authentic.
    pub(super) fn peer_fault() -> Self {
        let reason = DeadLetterReason::BadTag;
        BadBody { reason, detail: Detail::PeerFault, at: None, task: None, caller: None }
    }

    /// The same, at this byte of the text that was read.
    pub(super) fn at(mut self, offset: usize) -> Self {
        self.at = Some(offset);
        self
    }

    /// The same, where the text that was read starts at byte `start` of a larger one.
    pub(super) fn within(mut self, start: usize) -> Self {
        self.at = Some(start + self.at.unwrap_or(0));
        self
    }

    /// The same, in the message of this task.
    pub(super) fn of(mut self, task: &TaskName) -> Self {
        self.task = Some(task.clone());
        self
    }

    /// The same, sent by this caller, if one can be made out.
    pub(super) fn called_by(mut self, caller: Option<Caller>) -> Self {
        self.caller = caller.map(Box::new);
        self
    }

    /// Who waits for the task, if that could be read.
    pub(crate) fn caller(&self) -> Option<&Caller> {
        self.caller.as_deref()
    }

    /// The kind of the trouble.
    #[must_use]
    pub fn reason(&self) -> DeadLetterReason {
        self.reason
    }

    /// Whether a peer that has the key has sealed something that cannot be: not an attack, but a
    /// fault in its program.
    #[must_use]
    pub fn is_peer_fault(&self) -> bool {
        self.detail == Detail::PeerFault
    }

    /// What is wrong, without the kind, for texts that name it already.
    pub(crate) fn explanation(&self) -> String {
        Explanation(self).to_string()
    }

    /// The byte of the body, opened if it was a frame, where the trouble was noticed.
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

/// What is wrong with a body, without the kind of the trouble.
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
                "the frame is authentic and its content has no padding; the program that sealed it is at fault",
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
    fn the_text_tells_kind_place_and_task() {
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
