//! How a handler failed in a test.

use std::fmt;
use std::time::Duration;

use ivy_proto::Cause;
use ivy_proto::text::Escaped;
use ivy_proto::wire::DeadLetterReason;
use ivy_proto::worker::CancelReason;

/// Why the run of a handler has no result, and what a worker does with the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFailure {
    kind: TestFailureKind,
    message: String,
    next: NextStep,
}

/// Why the run of a handler has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TestFailureKind {
    /// The handler returned an error.
    Error,
    /// The handler panicked.
    Panic,
    /// The handler was cancelled, or its result came too late: it exceeded its time limit, or lost
    /// its lease.
    Cancelled(CancelReason),
    /// The message was not run: the worker has no handler for the task, or the handler takes other
    /// arguments.
    NotRun(DeadLetterReason),
    /// The task is done, but its result cannot be returned: it is too large, or not of the type that
    /// the task declares.
    Result,
    /// The message did not reach the worker: the arguments cannot be sent, a name or a setting is
    /// invalid, or the worker does not serve the queue of the task.
    NotDelivered,
}

/// What happens to the task after a handler has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextStep {
    /// The next attempt follows after this delay.
    Retry {
        /// The delay. With the default backoff it is random.
        delay: Duration,
    },
    /// The same attempt is repeated after this delay, because the handler postponed the task with
    /// [`TaskError::later`](ivy_proto::TaskError::later).
    Later {
        /// The delay.
        delay: Duration,
    },
    /// The message is moved to the dead-letter queue: the error was fatal, or no attempt is left.
    DeadLetter {
        /// The reason.
        reason: DeadLetterReason,
    },
    /// The message is released for another worker, and the attempt does not count.
    Release {
        /// How long it stays invisible.
        delay: Duration,
    },
    /// Nothing: the message is not the worker's any more, the task is done, or there was none.
    Nothing,
}

impl TestFailure {
    pub(super) fn new(kind: TestFailureKind, message: String, next: NextStep) -> Self {
        TestFailure { kind, message, next }
    }

    pub(super) fn not_delivered(cause: &Cause) -> Self {
        TestFailure::new(TestFailureKind::NotDelivered, cause.to_string(), NextStep::Nothing)
    }

    /// The kind of failure.
    #[must_use]
    pub fn kind(&self) -> TestFailureKind {
        self.kind
    }

    /// The message of the error, or the text of the panic.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What happens to the task.
    #[must_use]
    pub fn next(&self) -> NextStep {
        self.next
    }

    /// Whether another attempt follows.
    #[must_use]
    pub fn is_retried(&self) -> bool {
        matches!(self.next, NextStep::Retry { .. })
    }

    /// The delay after which the task runs again without counting an attempt, if the handler
    /// postponed it.
    #[must_use]
    pub fn postponed_by(&self) -> Option<Duration> {
        match self.next {
            NextStep::Later { delay } => Some(delay),
            _ => None,
        }
    }

    /// Why the message is moved to the dead-letter queue, if it is.
    #[must_use]
    pub fn dead_letter_reason(&self) -> Option<DeadLetterReason> {
        match self.next {
            NextStep::DeadLetter { reason } => Some(reason),
            _ => None,
        }
    }
}

impl fmt::Display for TestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = Escaped(&self.message);
        match self.kind {
            TestFailureKind::Error => write!(f, "the handler returned an error: {message}")?,
            TestFailureKind::Panic => write!(f, "the handler panicked: {message}")?,
            TestFailureKind::Cancelled(reason) => {
                write!(f, "the handler was cancelled ({reason:?}): {message}")?;
            }
            TestFailureKind::NotRun(reason) => {
                write!(f, "the task was not run ({reason}): {message}")?;
            }
            TestFailureKind::Result => write!(f, "{message}")?,
            TestFailureKind::NotDelivered => {
                write!(f, "the task did not reach its handler: {message}")?;
            }
        }
        match self.next {
            NextStep::Retry { delay } => write!(f, "; it is retried after {delay:?}"),
            NextStep::Later { delay } => write!(f, "; it is postponed by {delay:?}"),
            NextStep::DeadLetter { reason } => {
                write!(f, "; its message is moved to the dead-letter queue ({reason})")
            }
            NextStep::Release { .. } => write!(f, "; its message is released for another worker"),
            NextStep::Nothing => Ok(()),
        }
    }
}

impl std::error::Error for TestFailure {}
