//! The scripts of a queue, each as a function that calls the same commands in the same order.
//!
//! A script is identified by the SHA-1 of its text. A changed script is therefore unknown, so that
//! a model that was not changed with it is detected.

mod calls;
mod giving_back;
mod posting;
mod reserving;
mod searching;

use super::resp::ReplyTo;

pub(super) use calls::{Calls, Raised};

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
    (Script::Post, "699d415d3fc45b0e62fd26a8854d0008913afaba"),
    (Script::Reserve, "6fa602999f90b1d4482e2323cb47a66674ebad8e"),
    (Script::Peek, "ea03b9452f2fc6344d40f504c263d3d5a8c2ce3e"),
    (Script::Touch, "d9b284c471f63f4bcc68b64e50cbb424385ae1b8"),
    (Script::Release, "7c955ddf8954e22bd2387f5cc8453e9f84523fda"),
    (Script::Reject, "8864b5eebb8d08a66740af4e0a84f2a1c7b1dbdf"),
    (Script::Orphans, "4cb49f05d1a92b669f943ca1dc9e606e5f65924e"),
    (Script::Get, "de96271014e7784a31f679ca481841a759c65955"),
];

impl Script {
    /// The script whose text has this SHA-1.
    #[must_use]
    pub fn of_sha1(sha1: &str) -> Option<Self> {
        MODELLED.iter().find(|(_, known)| *known == sha1).map(|(script, _)| *script)
    }

    /// Runs the script.
    pub(super) fn run(self, calls: &mut Calls<'_>, given: &Given<'_>) -> Result<ReplyTo, Raised> {
        match self {
            Script::Post => posting::post(calls, given),
            Script::Reserve => reserving::reserve(calls, given),
            Script::Peek => reserving::peek(calls, given),
            Script::Touch => giving_back::touch(calls, given),
            Script::Release => giving_back::release(calls, given),
            Script::Reject => giving_back::reject(calls, given),
            Script::Orphans => giving_back::orphans(calls, given),
            Script::Get => searching::get(calls, given),
        }
    }
}

/// The input of a script.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) keys: &'a [Vec<u8>],
    pub(super) arguments: &'a [Vec<u8>],
}

impl<'a> Given<'a> {
    /// The key with this number, from 1 as in the script.
    fn key(&self, number: usize) -> Result<&'a [u8], Raised> {
        self.keys.get(number - 1).map(Vec::as_slice).ok_or_else(|| Raised::nil("key"))
    }

    /// The argument with this number, from 1 as in the script.
    fn argument(&self, number: usize) -> Result<&'a [u8], Raised> {
        self.arguments.get(number - 1).map(Vec::as_slice).ok_or_else(|| Raised::nil("argument"))
    }

    /// The argument with this number as a whole number.
    fn number(&self, number: usize) -> Result<i64, Raised> {
        let text = std::str::from_utf8(self.argument(number)?).ok();
        text.and_then(|text| text.parse().ok()).ok_or_else(|| Raised::nil("number"))
    }

    /// The keys that the scripts of one queue have in common.
    fn queue(&self) -> Result<Queue<'a>, Raised> {
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
