//! The driver's own mistakes.

use crate::id::{JobId, OpId};

/// A machine was driven wrongly. Nothing was changed; the driver has a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// No such operation is waiting for an answer.
    #[error("operation {0:?} is not waiting for an answer")]
    UnknownOp(OpId),
    /// The answer does not fit the operation.
    #[error("the answer to operation {0:?} is one to another kind of operation")]
    WrongReply(OpId),
    /// No such job is running.
    #[error("job {0:?} is not running")]
    UnknownJob(JobId),
    /// The machine has finished.
    #[error("the machine has finished and takes no more input")]
    Finished,
}
