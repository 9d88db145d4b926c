//! Errors of the driver.

use crate::broker::RequestId;
use crate::id::{JobId, OpId};

/// The driver broke the contract of a machine. Nothing was changed; the driver has a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// No such operation waits for a reply.
    #[error("operation {0:?} is not waiting for a reply")]
    UnknownOp(OpId),
    /// The reply is of another kind than the operation.
    #[error("the reply to operation {0:?} is of another kind than the operation")]
    WrongReply(OpId),
    /// No such job is running.
    #[error("job {0:?} is not running")]
    UnknownJob(JobId),
    /// A request with this id is still waiting for its reply.
    #[error("request {0:?} is still waiting for its reply, so its id cannot be reused")]
    RequestInUse(RequestId),
    /// The machine has finished.
    #[error("the machine has finished and accepts no more input")]
    Finished,
}
