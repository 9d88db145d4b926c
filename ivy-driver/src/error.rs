//! The error that applications receive.

use std::fmt;

use ivy_proto::check::CheckReport;
use ivy_proto::event::TaskRef;
use ivy_proto::task::{TaskFailure, TimedOut};
use ivy_proto::{Cause, ErrorKind, QueueName, TaskError, TaskId};

use crate::call_listener::CallListener;
use crate::runtime::Runtime;

/// An error of ivy: what happened, to which task and queue, why, and what to do next.
///
/// [`kind`](Error::kind) is for programs, the `Display` text for people. The text contains no
/// secret and no payload.
pub struct Error<R>(Box<Inner<R>>);

struct Inner<R> {
    cause: Cause,
    task: Option<TaskRef>,
    queue: Option<QueueName>,
    listener: Option<CallListener<R>>,
}

impl<R: Runtime> Error<R> {
    /// An error of the configuration.
    pub(crate) fn config(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Error::from(Cause::config(error))
    }

    pub(crate) fn about(mut self, task: &TaskRef) -> Self {
        self.0.task = Some(task.clone());
        self
    }

    /// Names the queue, if the error concerns one.
    pub(crate) fn about_queue(mut self, queue: Option<QueueName>) -> Self {
        self.0.queue = queue;
        self
    }

    pub(crate) fn with_listener(mut self, listener: CallListener<R>) -> Self {
        self.0.listener = Some(listener);
        self
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.cause.kind()
    }

    /// The id of the task that the error concerns, if any.
    #[must_use]
    pub fn task_id(&self) -> Option<TaskId> {
        self.0.task.as_ref().map(|task| task.id)
    }

    /// The physical queue that the error concerns, directly or through its task.
    #[must_use]
    pub fn queue(&self) -> Option<&QueueName> {
        self.0.task.as_ref().map(|task| &task.queue).or(self.0.queue.as_ref())
    }

    /// The cause, with all its details.
    #[must_use]
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    pub(crate) fn into_listener(self) -> Option<CallListener<R>> {
        self.0.listener
    }

    /// What is known of the task whose result did not arrive in time, for [`ErrorKind::TimedOut`].
    #[must_use]
    pub fn timed_out(&self) -> Option<&TimedOut> {
        match self.cause() {
            Cause::TimedOut(known) => Some(known),
            _ => None,
        }
    }

    /// What a check found, if the error is that of [`Ivy::check`](crate::Ivy).
    #[must_use]
    pub fn check_report(&self) -> Option<&CheckReport> {
        match self.cause() {
            Cause::Check(report) => Some(report),
            _ => None,
        }
    }

    /// Why the task failed, for [`ErrorKind::Failed`].
    #[must_use]
    pub fn failure(&self) -> Option<&TaskFailure> {
        match self.cause() {
            Cause::Failed(failure) => Some(failure),
            _ => None,
        }
    }
}

impl<R> From<Cause> for Error<R> {
    fn from(cause: Cause) -> Self {
        Error(Box::new(Inner { cause, task: None, queue: None, listener: None }))
    }
}

impl<R> fmt::Display for Error<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(task) = &self.0.task {
            write!(f, "{task}: ")?;
        } else if let Some(queue) = &self.0.queue {
            write!(f, "queue {queue}: ")?;
        }
        write!(f, "{}", self.0.cause)
    }
}

impl<R> fmt::Debug for Error<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self})", self.0.cause.kind())
    }
}

/// Lets a handler return the errors of its own calls with `?`.
impl<R: Runtime> From<Error<R>> for TaskError {
    fn from(error: Error<R>) -> Self {
        TaskError::from_error(&error)
    }
}

impl<R> std::error::Error for Error<R> {
    /// The underlying error, if the text of this error does not already contain it.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.cause.source()
    }
}
