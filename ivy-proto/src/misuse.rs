//! The driver's own mistakes.

use crate::broker::RequestId;
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
    /// A request of this id is still waiting for its answer.
    #[error("request {0:?} is still waiting for its answer, so its id cannot be used again")]
    RequestInUse(RequestId),
    /// The machine has finished.
    #[error("the machine has finished and takes no more input")]
    Finished,
}
