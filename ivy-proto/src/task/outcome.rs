//! What a caller learns of a task in the end.

use crate::text::Escaped;
use crate::wire::RawJson;

/// How a task ended, as told by a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    /// The handler returned this value.
    Done(RawJson),
    /// The handler returned a value that was too large for a notice. The task is done all the
    /// same.
    ResultTooLarge,
    /// The task was put aside in the dead-letter queue.
    Failed(TaskFailure),
}

/// Why a task was put aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task failed after {attempts} attempt(s) ({}): {}; its message is kept in the dead-letter queue", Escaped(.kind), Escaped(.message))]
pub struct TaskFailure {
    /// The name of a [`DeadLetterReason`](crate::wire::DeadLetterReason), or of one that a newer
    /// worker knows.
    pub kind: String,
    /// What the worker said, at most 1 KiB.
    pub message: String,
    /// How often the handler was run to an end.
    pub attempts: u32,
}
