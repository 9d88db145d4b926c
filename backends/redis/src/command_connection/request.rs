//! Requests to a server, and their results.

use redis::Value;

use crate::error_reply::RedisError;
use crate::frame::Limits;

/// Identifies a request within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u64);

/// Commands that are sent together.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    /// The encoded commands.
    pub(crate) commands: Vec<u8>,
    /// The number of replies.
    pub(crate) reply_count: usize,
    /// The limits of each reply.
    pub(crate) limits: Limits,
}

/// A completed request.
#[derive(Debug)]
pub(crate) struct CompletedRequest {
    pub(crate) id: RequestId,
    /// The replies, including errors, in the order of the commands.
    pub(crate) replies: Result<Vec<Value>, NoReply>,
}

/// Why there is no reply.
#[derive(Clone, Debug)]
pub(crate) struct NoReply {
    pub(crate) error: RedisError,
    /// Whether it may have taken effect anyway.
    pub(crate) was_sent: bool,
}
