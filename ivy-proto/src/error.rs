//! Errors as an application sees them: the texts and kinds that all adapters share.

use std::error::Error;

use crate::check::CheckReport;
use crate::notify::NotifyFault;
use crate::producer::SendError;
use crate::queue::Fault;
use crate::task::{InvalidCall, TaskFailure, TimedOut, UnwritableArgs};
use crate::text::TypeName;
use crate::wire::MAX_DEPTH;

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An address, key, name or setting is wrong.
    Config,
    /// The arguments cannot be written as JSON, or are not a list.
    BadArgs,
    /// The task was certainly not sent. It can be called again.
    NotSent,
    /// The task was not given to the queue within the time limit of its call, and was withdrawn: it
    /// was certainly not sent. It can be called again.
    Withdrawn,
    /// The task may or may not have been sent: a reply was lost, and the task must not be sent
    /// twice or its retries are exhausted; or the queue did not reply within the time limit of its
    /// call.
    Unknown,
    /// The queue refused the task, or the task's name is invalid.
    Refused,
    /// The task's message is too large.
    TooLarge,
    /// An argument of the task is nested more deeply than a worker can read.
    TooDeep,
    /// Too many calls wait to be sent, or too many handles wait for results.
    Full,
    /// The id that the caller chose is in use in this process for another task, other arguments or
    /// another queue. Nothing was sent.
    IdConflict,
    /// There is no notifier to receive the result.
    NoNotifier,
    /// The notifier is unreachable. Nothing was sent.
    NotifierUnavailable,
    /// No result arrived in time. It may still arrive.
    TimedOut,
    /// The task failed permanently. Its message is in the dead-letter queue.
    Failed,
    /// The task is done, but its result was too large for a notice.
    ResultTooLarge,
    /// The task is done, but its result was nested too deeply for a notice.
    ResultTooDeep,
    /// The task is done, but its result is not of the type that the task declares.
    BadResult,
    /// A request to the queue failed.
    Queue,
    /// A handler waited for a result while its worker was draining.
    Draining,
    /// The runtime or process of this instance has ended.
    Stopped,
}

/// Why an operation failed, and what to do about it. Contains no secret and no payload.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// An address, key, name or setting is wrong.
    #[error("{0}")]
    Config(Box<dyn Error + Send + Sync>),
    /// The arguments cannot be represented in JSON.
    #[error("{0}; use only values that JSON can represent")]
    BadArgs(UnwritableArgs),
    /// The call was not sent, or possibly not sent.
    #[error("{0}")]
    Send(SendError),
    /// No result arrived.
    #[error("{0}")]
    TimedOut(Box<TimedOut>),
    /// The task failed permanently.
    #[error("{0}")]
    Failed(TaskFailure),
    /// The result did not fit into a notice.
    #[error(
        "the task is done, but its result does not fit into a notice of 1 MiB; return a reference to the data instead"
    )]
    ResultTooLarge,
    /// The result was nested more deeply than the limit.
    #[error(
        "the task is done, but its result is nested more than {MAX_DEPTH} levels deep; return flatter data, or a reference to it"
    )]
    ResultTooDeep,
    /// The result is not of the type that the caller expects.
    #[error(
        "the task is done, but its result is not a {} (at byte {column}); check that producer and worker share one contract",
        TypeName(.expected)
    )]
    BadResult {
        /// The type that the caller expects.
        expected: &'static str,
        /// The byte position of the mismatch in the result, from 1.
        column: usize,
    },
    /// A request to the queue failed.
    #[error("{0}")]
    Queue(Fault),
    /// Workers are heard through a notifier, and there is none.
    #[error(
        "workers are heard through a notifier, but none is configured; set IVY_NOTIFIER_URL to that of the workers"
    )]
    NoNotifier,
    /// The notifier could not be subscribed to. Contains the last failure, if there was one.
    #[error(
        "no worker could be heard: {}",
        .0.as_ref().map_or_else(
            || "the notifier did not respond in time; check its address, and that it is running".to_owned(),
            ToString::to_string,
        )
    )]
    Notifier(Option<NotifyFault>),
    /// Some parts failed a check.
    #[error("{0}")]
    Check(Box<CheckReport>),
    /// The runtime of this instance has ended.
    #[error("ivy stopped because its runtime or thread ended; create a new Ivy in the current one")]
    Stopped,
    /// A handler's wait ended because its worker is draining.
    #[error(
        "the worker is draining, so its handlers cannot wait for results; return this error, and the task runs again elsewhere without counting an attempt"
    )]
    Draining,
    /// The instance was used in the process from which this one was forked.
    #[error(
        "this Ivy was used before the process was forked, so its threads and connections belong to the parent; create an Ivy in each child, or fork before its first use"
    )]
    Forked,
}

impl Cause {
    /// Wraps a configuration error.
    #[must_use]
    pub fn config(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Cause::Config(error.into())
    }

    /// The kind of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Cause::Config(_) => ErrorKind::Config,
            Cause::BadArgs(_) => ErrorKind::BadArgs,
            Cause::Send(error) => match error {
                SendError::Unknown { .. } | SendError::NoReply { .. } => ErrorKind::Unknown,
                SendError::Withdrawn { .. } => ErrorKind::Withdrawn,
                SendError::IdConflict { .. } => ErrorKind::IdConflict,
                SendError::TooLarge { .. } => ErrorKind::TooLarge,
                SendError::TooDeep => ErrorKind::TooDeep,
                SendError::Full { .. } | SendError::TooManyHandles { .. } => ErrorKind::Full,
                SendError::DelayTooLong { .. } | SendError::NameNotForBackend(_) => {
                    ErrorKind::Config
                }
                SendError::ArgsNotAnArray => ErrorKind::BadArgs,
                SendError::NoNotifier => ErrorKind::NoNotifier,
                SendError::NotifierUnavailable { .. } => ErrorKind::NotifierUnavailable,
                SendError::Refused { .. } | SendError::ReservedName(_) => ErrorKind::Refused,
                SendError::NotSent { .. } | SendError::IdInUse | SendError::Draining => {
                    ErrorKind::NotSent
                }
            },
            Cause::TimedOut(_) => ErrorKind::TimedOut,
            Cause::Failed(_) => ErrorKind::Failed,
            Cause::ResultTooLarge => ErrorKind::ResultTooLarge,
            Cause::ResultTooDeep => ErrorKind::ResultTooDeep,
            Cause::BadResult { .. } => ErrorKind::BadResult,
            Cause::Queue(_) => ErrorKind::Queue,
            Cause::NoNotifier => ErrorKind::NoNotifier,
            Cause::Notifier(_) => ErrorKind::NotifierUnavailable,
            Cause::Check(report) => report.error_kind(),
            Cause::Draining => ErrorKind::Draining,
            Cause::Stopped | Cause::Forked => ErrorKind::Stopped,
        }
    }
}

impl From<SendError> for Cause {
    fn from(error: SendError) -> Self {
        Cause::Send(error)
    }
}

impl From<InvalidCall> for Cause {
    fn from(error: InvalidCall) -> Self {
        match error {
            InvalidCall::Args { why, .. } => Cause::from(why),
            error => Cause::config(error),
        }
    }
}

impl From<UnwritableArgs> for Cause {
    fn from(why: UnwritableArgs) -> Self {
        match why {
            UnwritableArgs::TooDeep => Cause::Send(SendError::TooDeep),
            why @ UnwritableArgs::NotJson(_) => Cause::BadArgs(why),
        }
    }
}

impl From<Fault> for Cause {
    fn from(fault: Fault) -> Self {
        Cause::Queue(fault)
    }
}
