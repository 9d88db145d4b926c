//! What is asked of a server, and what becomes of it.

use redis::Value;

use crate::frame::Limits;
use crate::refusal::Broken;

/// Names one request among all of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u64);

/// Commands that are sent in one piece.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    /// As they travel.
    pub(crate) commands: Vec<u8>,
    /// How many answers come.
    pub(crate) answers: usize,
    /// What each answer may be at most.
    pub(crate) limits: Limits,
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) id: RequestId,
    /// The answers, errors among them, in the order of the commands.
    pub(crate) answers: Result<Vec<Value>, Unanswered>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) struct Unanswered {
    pub(crate) broken: Broken,
    /// Whether it may have been carried out all the same.
    pub(crate) was_sent: bool,
}
