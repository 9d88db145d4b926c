//! What can go wrong, as an application sees it: the texts and kinds that all adapters share.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use crate::producer::SendError;
use crate::queue::Fault;
use crate::task::{InvalidCall, TaskFailure, TaskHeld, UnwritableArgs};
use crate::text::TypeName;
use crate::wire::MAX_DEPTH;

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An address, key, name or setting is wrong.
    Config,
    /// The task's arguments cannot be written as JSON, or are not a list.
    BadArgs,
    /// The task was surely not sent. It can be called again.
    NotSent,
    /// The task may or may not have been sent: an answer was lost, and no second copy is allowed, or
    /// the tries have come to an end.
    Unknown,
    /// The queue refused the task, or no task may have its name.
    Refused,
    /// The task's message is too large.
    TooLarge,
    /// An argument of the task is nested deeper than a worker could read it.
    TooDeep,
    /// Too many calls wait to be sent, or too many handles for results.
    Full,
    /// There is no notifier that could bring the result.
    NoNotifier,
    /// The notifier cannot be reached. Nothing was sent.
    NotifierUnavailable,
    /// No result has come in the given time. It may still come.
    TimedOut,
    /// The task failed for good, and is kept in the dead-letter queue.
    Failed,
    /// The task is done, but its result was too large to be brought here.
    ResultTooLarge,
    /// The task is done, but its result is nested too deep to be brought here.
    ResultTooDeep,
    /// The task is done, but its result is not of the type that the task promises.
    BadResult,
    /// A request to the queue failed.
    Queue,
    /// A handler waited for a result, and its worker drains.
    Draining,
    /// What carries ivy out has ended, or is in the process from which this one was forked.
    Stopped,
}

/// Why something that an application asked for was not done, and what to do about it. Holds no
/// secret and no payload.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// An address, key, name or setting is wrong.
    #[error("{0}")]
    Config(Box<dyn Error + Send + Sync>),
    /// The arguments have no form in JSON.
    #[error("{0}; keep to values that JSON has")]
    BadArgs(UnwritableArgs),
    /// The call was not sent, or not surely.
    #[error("{0}")]
    Send(SendError),
    /// No result has come.
    #[error("no result within {after:?}; {}", why_none(.held.as_deref()))]
    TimedOut {
        /// How long it was waited for.
        after: Duration,
        /// Why a worker gave the task's message back meanwhile, if one said so.
        held: Option<Arc<TaskHeld>>,
    },
    /// The task failed for good.
    #[error("{0}")]
    Failed(TaskFailure),
    /// The result did not fit into a notice.
    #[error(
        "the task is done, but its result does not fit into a notice of 1 MiB; return a reference to the data instead"
    )]
    ResultTooLarge,
    /// The result was nested deeper than a value may be.
    #[error(
        "the task is done, but its result is nested more than {MAX_DEPTH} levels deep, which is the limit; return flatter data, or a reference to it"
    )]
    ResultTooDeep,
    /// The result is not what the caller expects.
    #[error(
        "the task is done, but its result is not a {} (from its character {column}); check that producer and worker share one contract",
        TypeName(.expected)
    )]
    BadResult {
        /// The type that the caller expects.
        expected: &'static str,
        /// Where in the result it is wrong, in bytes.
        column: usize,
    },
    /// A request to the queue failed.
    #[error("{0}")]
    Queue(Fault),
    /// What carries ivy out has ended.
    #[error(
        "ivy has stopped, since the runtime or the thread that it ran in has ended; make a new Ivy in the one that runs now"
    )]
    Stopped,
    /// The wait of a handler was ended, since its worker drains.
    #[error(
        "the worker drains, and its handlers wait for no result any more; return this error, and the task runs again elsewhere, without an attempt less"
    )]
    Draining,
    /// It was used in the process from which this one was forked.
    #[error(
        "this Ivy was used before the process was forked, and its threads and connections are those of the parent; make an Ivy in each child, or fork before its first use"
    )]
    Forked,
}

impl Cause {
    /// A cause in the configuration.
    #[must_use]
    pub fn config(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Cause::Config(error.into())
    }

    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Cause::Config(_) => ErrorKind::Config,
            Cause::BadArgs(_) => ErrorKind::BadArgs,
            Cause::Send(error) => match error {
                SendError::Unknown { .. } => ErrorKind::Unknown,
                SendError::TooLarge { .. } => ErrorKind::TooLarge,
                SendError::TooDeep => ErrorKind::TooDeep,
                SendError::Full { .. } | SendError::TooManyHandles { .. } => ErrorKind::Full,
                SendError::DelayTooLong { .. } | SendError::NameNotForBackend(_) => {
                    ErrorKind::Config
                }
                SendError::ArgsNotAnArray => ErrorKind::BadArgs,
                SendError::NoNotifier => ErrorKind::NoNotifier,
                SendError::NotifierUnavailable { .. } => ErrorKind::NotifierUnavailable,
                SendError::Refused { .. } | SendError::ForbiddenName(_) => ErrorKind::Refused,
                SendError::NotSent { .. } | SendError::IdInUse | SendError::Draining => {
                    ErrorKind::NotSent
                }
            },
            Cause::TimedOut { .. } => ErrorKind::TimedOut,
            Cause::Failed(_) => ErrorKind::Failed,
            Cause::ResultTooLarge => ErrorKind::ResultTooLarge,
            Cause::ResultTooDeep => ErrorKind::ResultTooDeep,
            Cause::BadResult { .. } => ErrorKind::BadResult,
            Cause::Queue(_) => ErrorKind::Queue,
            Cause::Draining => ErrorKind::Draining,
            Cause::Stopped | Cause::Forked => ErrorKind::Stopped,
        }
    }
}

/// What is known of a result that has not come.
fn why_none(held: Option<&TaskHeld>) -> String {
    match held {
        Some(held) => format!("{held}; the result may still come: wait again"),
        None => "it may still come: wait again, and see whether a worker serves the queue, and uses the same notifier, channel name and keys, and in its log whether the task fails and is tried again".to_owned(),
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
