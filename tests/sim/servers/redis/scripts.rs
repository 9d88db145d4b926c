//! The scripts of a queue, each as a function that calls the same commands in the same order.
//!
//! A script is identified by the SHA-1 of its text. A changed script is therefore unknown, so that
//! a model that was not changed with it is detected.

mod calls;
mod held_messages;
mod posting;
mod reserving;
mod searching;

use std::fmt::Write;

use sha1::{Digest, Sha1};

use super::resp::Reply;

pub(super) use calls::{Calls, ScriptError};

/// A script of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Script {
    /// Posts messages of which some are delayed.
    Post,
    /// Reserves messages.
    Reserve,
    /// Returns the next messages.
    Peek,
    /// Renews a lease.
    Touch,
    /// Releases a message.
    Release,
    /// Moves an element that is no message to the dead-letter queue.
    Reject,
    /// Returns elements that are reserved without a lease to the queue.
    Orphans,
    /// Finds a message by its id.
    Get,
}

/// All scripts, each with the SHA-1 of the text that its function below models.
pub const MODELLED: [(Script, &str); 8] = [
    (Script::Post, "0592f5b3febcdec493ffbab8bcca084d4597b2ea"),
    (Script::Reserve, "c5f6a64f9e6a6f6e5b53556ec2a61b3f9647e00d"),
    (Script::Peek, "79982eaf19dfacad75a442d48b5c5d08932b55a2"),
    (Script::Touch, "63426c62607efc3dbd3e150effd08c29f51abbc7"),
    (Script::Release, "fb4b7050e9759d6b6c00ccf88eb6a9df98363522"),
    (Script::Reject, "6bddb9a777c855a4c756cfb04fa7a82767a86957"),
    (Script::Orphans, "d5d2a27d2cb37fd8b0668b4bef9d57a7b2d6c3b7"),
    (Script::Get, "dd81ebfee6657cd92b7246adaba5c4d5ee97d707"),
];

impl Script {
    /// The script whose text has this SHA-1.
    #[must_use]
    pub fn of_sha1(sha1: &str) -> Option<Self> {
        MODELLED.iter().find(|(_, known)| *known == sha1).map(|(script, _)| *script)
    }

    /// Runs the script.
    pub(super) fn run(
        self,
        calls: &mut Calls<'_>,
        input: &ScriptInput<'_>,
    ) -> Result<Reply, ScriptError> {
        match self {
            Script::Post => posting::post(calls, input),
            Script::Reserve => reserving::reserve(calls, input),
            Script::Peek => reserving::peek(calls, input),
            Script::Touch => held_messages::touch(calls, input),
            Script::Release => held_messages::release(calls, input),
            Script::Reject => held_messages::reject(calls, input),
            Script::Orphans => held_messages::orphans(calls, input),
            Script::Get => searching::get(calls, input),
        }
    }
}

/// The SHA-1 of these bytes, in hexadecimal.
pub(super) fn sha1_of(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    })
}

/// The input of a script.
#[derive(Clone, Copy)]
pub(super) struct ScriptInput<'a> {
    pub(super) keys: &'a [Vec<u8>],
    pub(super) arguments: &'a [Vec<u8>],
}

impl<'a> ScriptInput<'a> {
    /// The key with this number, from 1 as in the script.
    fn key(&self, number: usize) -> Result<&'a [u8], ScriptError> {
        self.keys.get(number - 1).map(Vec::as_slice).ok_or_else(|| ScriptError::nil("key"))
    }

    /// The argument with this number, from 1 as in the script.
    fn argument(&self, number: usize) -> Result<&'a [u8], ScriptError> {
        self.arguments
            .get(number - 1)
            .map(Vec::as_slice)
            .ok_or_else(|| ScriptError::nil("argument"))
    }

    /// The argument with this number as a whole number.
    fn number(&self, number: usize) -> Result<i64, ScriptError> {
        let text = std::str::from_utf8(self.argument(number)?).ok();
        text.and_then(|text| text.parse().ok()).ok_or_else(|| ScriptError::nil("number"))
    }

    /// The keys that the scripts of one queue have in common.
    fn queue(&self) -> Result<Queue<'a>, ScriptError> {
        Ok(Queue {
            ready: self.key(1)?,
            delayed: self.key(2)?,
            leases: self.key(3)?,
            held: self.key(4)?,
        })
    }
}

/// The keys of one queue.
#[derive(Clone, Copy)]
struct Queue<'a> {
    ready: &'a [u8],
    delayed: &'a [u8],
    leases: &'a [u8],
    held: &'a [u8],
}
