//! The error of a failed task.

use std::fmt;

use crate::text::Escaped;

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
#[derive(Clone, PartialEq, Eq)]
pub struct TaskError {
    message: String,
    fatal: bool,
}

impl TaskError {
    /// An error after which the task is retried, if it has retries left.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        TaskError { message: message.into(), fatal: false }
    }

    /// An error after which the task is not retried.
    #[must_use]
    pub fn fatal(message: impl Into<String>) -> Self {
        TaskError { message: message.into(), fatal: true }
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

    /// Whether retries are ruled out.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.fatal
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Escaped(&self.message))
    }
}

impl fmt::Debug for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskError({self}{})", if self.fatal { ", fatal" } else { "" })
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
    fn the_message_of_an_error_includes_its_sources() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read the file")]
        struct Outer(#[source] std::io::Error);
        let error = Outer(std::io::Error::other("disk on fire"));
        assert_eq!(TaskError::from_error(&error).message(), "cannot read the file: disk on fire");
    }
}
