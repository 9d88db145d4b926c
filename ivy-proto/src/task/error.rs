//! The error of a failed task.

use std::fmt;
use std::time::Duration;

use crate::text::Escaped;
use crate::worker::{CancelReason, JobOutcome};

use super::args::BadArgs;

/// The error of a task's handler: a message for the caller, and whether a retry may help.
///
/// Handlers return `Result<Output, E>` with `E: Into<TaskError>`. Strings and boxed errors convert
/// automatically, so `?` works in a handler whose error is
/// `Box<dyn std::error::Error + Send + Sync>`. Implement `From<YourError> for TaskError` to use
/// your own error type.
///
/// ```
/// use ivy_proto::TaskError;
///
/// fn divide(a: u64, b: u64) -> Result<u64, TaskError> {
///     // A retry would divide by zero again.
///     a.checked_div(b).ok_or_else(|| TaskError::fatal("division by zero"))
/// }
/// assert!(divide(1, 0).unwrap_err().is_fatal());
/// ```
///
/// A handler that cannot do its work now, for example because a tenant has used up its share,
/// [postpones](TaskError::later) the task:
///
/// ```
/// use std::time::Duration;
///
/// use ivy_proto::TaskError;
///
/// fn send_mail(tenant_may_send: bool) -> Result<(), TaskError> {
///     if !tenant_may_send {
///         let delay = Duration::from_secs(20);
///         return Err(TaskError::later(delay).with_message("the tenant's hour is used up"));
///     }
///     Ok(())
/// }
/// assert_eq!(send_mail(false).unwrap_err().postponed_by(), Some(Duration::from_secs(20)));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TaskError {
    message: String,
    consequence: Consequence,
}

/// What follows an error.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consequence {
    /// The attempt has failed, and the next one follows if there is one left.
    Retry,
    /// The attempt has failed, and there is no other.
    DeadLetter,
    /// The attempt does not count, and is repeated after this delay.
    Postpone(Duration),
    /// The handler panicked, which counts as a failed attempt.
    Panicked,
    /// The handler does not accept the arguments, so it was not run.
    BadArgs,
    /// The handler did not return, which counts as a failed attempt.
    Ended(HandlerEnd),
}

/// How a handler ended that did not return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HandlerEnd {
    /// It panicked.
    Panicked,
    /// It was cancelled for this reason, if the worker had one.
    Cancelled(Option<CancelReason>),
}

impl TaskError {
    /// An error after which the task is retried, if it has retries left.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        TaskError { message: message.into(), consequence: Consequence::Retry }
    }

    /// An error after which the task is not retried.
    #[must_use]
    pub fn fatal(message: impl Into<String>) -> Self {
        TaskError { message: message.into(), consequence: Consequence::DeadLetter }
    }

    /// An error that postpones the task: it runs again after this delay, and no attempt is counted.
    ///
    /// The delay is limited to the longest that the queue supports, and queues may round it up to whole
    /// seconds. The task's deadline still applies: if the task could not be started in time, it is
    /// moved to the dead-letter queue at once. A worker postpones a task 1,000 times unless its
    /// `max_later` says otherwise; after that, this error counts as a failed attempt.
    ///
    /// The caller continues to wait, and receives no notice of it. The handler should return early:
    /// what it did before is done again.
    #[must_use]
    pub fn later(delay: Duration) -> Self {
        TaskError { message: "not now".to_owned(), consequence: Consequence::Postpone(delay) }
    }

    /// Replaces the message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// A retryable error with the message of another error and its sources.
    #[must_use]
    pub fn from_error(error: &(dyn std::error::Error + 'static)) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            message.push_str(": ");
            message.push_str(&error.to_string());
            cause = error.source();
        }
        TaskError::new(message)
    }

    /// The error message. It is sent to the caller, truncated to 1 KiB.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the task is not retried.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.consequence == Consequence::DeadLetter
    }

    /// The delay after which the task is to run again without counting an attempt, if the handler
    /// [postponed](TaskError::later) it.
    #[must_use]
    pub fn postponed_by(&self) -> Option<Duration> {
        match self.consequence {
            Consequence::Postpone(delay) => Some(delay),
            Consequence::Retry
            | Consequence::DeadLetter
            | Consequence::Panicked
            | Consequence::BadArgs
            | Consequence::Ended(_) => None,
        }
    }

    /// The kind of the error, for the log.
    pub(crate) fn kind(&self) -> &'static str {
        match self.consequence {
            Consequence::Retry => "Failed",
            Consequence::DeadLetter => "Fatal",
            Consequence::Postpone(_) => "Postponed",
            Consequence::Panicked | Consequence::Ended(HandlerEnd::Panicked) => "Panicked",
            Consequence::BadArgs => "BadArgs",
            Consequence::Ended(HandlerEnd::Cancelled(reason)) => match reason {
                Some(CancelReason::LeaseLost) => "LeaseLost",
                Some(CancelReason::TimeLimit | CancelReason::LeaseLimit) => "TimeLimit",
                Some(CancelReason::Drain) | None => "Cancelled",
            },
        }
    }

    /// The error of a handler that did not return. The attempt has failed.
    pub(crate) fn ended(end: HandlerEnd, message: impl Into<String>) -> Self {
        TaskError { message: message.into(), consequence: Consequence::Ended(end) }
    }

    /// The error that layers receive if the handler panicked.
    pub(super) fn panicked(message: String) -> Self {
        TaskError { message, consequence: Consequence::Panicked }
    }

    /// The error that layers receive if the handler does not accept the arguments.
    pub(super) fn bad_args(error: BadArgs) -> Self {
        TaskError { message: error.to_string(), consequence: Consequence::BadArgs }
    }

    /// The outcome of a handler that ended with this error.
    pub(super) fn into_outcome(self) -> JobOutcome {
        match self.consequence {
            Consequence::Panicked => JobOutcome::Panicked(self.message),
            Consequence::BadArgs => JobOutcome::BadArgs(self.message),
            Consequence::Retry
            | Consequence::DeadLetter
            | Consequence::Postpone(_)
            | Consequence::Ended(_) => JobOutcome::Failed(self),
        }
    }

    /// Converts it into an error that counts as a failed attempt, with a remark after the message.
    pub(crate) fn to_failed_attempt(&self, remark: &str) -> Self {
        TaskError::new(format!("{}; {remark}", self.message))
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.consequence == Consequence::Panicked {
            f.write_str("the handler panicked: ")?;
        }
        write!(f, "{}", Escaped(&self.message))
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.consequence {
            Consequence::Retry
            | Consequence::Panicked
            | Consequence::BadArgs
            | Consequence::Ended(_) => write!(f, "TaskError({self})"),
            Consequence::DeadLetter => write!(f, "TaskError({self}, fatal)"),
            Consequence::Postpone(delay) => write!(f, "TaskError({self}, postponed by {delay:?})"),
        }
    }
}

impl std::error::Error for TaskError {}

impl From<String> for TaskError {
    fn from(message: String) -> Self {
        TaskError::new(message)
    }
}

impl From<&str> for TaskError {
    fn from(message: &str) -> Self {
        TaskError::new(message)
    }
}

impl From<Box<dyn std::error::Error + Send + Sync>> for TaskError {
    fn from(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        match error.downcast::<TaskError>() {
            Ok(error) => *error,
            Err(error) => TaskError::from_error(error.as_ref()),
        }
    }
}

impl From<std::io::Error> for TaskError {
    fn from(error: std::io::Error) -> Self {
        TaskError::from_error(&error)
    }
}

impl From<std::convert::Infallible> for TaskError {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fatal_error_stays_fatal_in_a_box() {
        let boxed: Box<dyn std::error::Error + Send + Sync> = TaskError::fatal("no").into();
        assert!(TaskError::from(boxed).is_fatal());
    }

    #[test]
    fn a_postponement_keeps_its_delay_in_a_box_and_with_another_message() {
        let delay = Duration::from_secs(3);
        let error = TaskError::later(delay).with_message("the tenant is over its limit");
        let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
        let error = TaskError::from(boxed);
        assert_eq!(error.postponed_by(), Some(delay));
        assert_eq!(error.message(), "the tenant is over its limit");
        assert!(!error.is_fatal());
        assert_eq!(TaskError::new("no").postponed_by(), None);
    }

    #[test]
    fn the_message_of_an_error_includes_its_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the file")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(TaskError::from_error(&error).message(), "cannot read the file: disk on fire");
    }
}
