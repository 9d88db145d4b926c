//! The outcome of a task, as reported to its caller.

use std::any::type_name;

use serde::de::DeserializeOwned;

use crate::error::Cause;
use crate::text::{Counted, Escaped};
use crate::wire::RawJson;

/// The outcome of a task, as reported by a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    /// The handler returned this value.
    Done(RawJson),
    /// The handler returned a value that was too large for a notice. The task is done.
    ResultTooLarge,
    /// The handler returned a value that is nested more deeply than
    /// [`MAX_DEPTH`](crate::wire::MAX_DEPTH). The task is done.
    ResultTooDeep,
    /// The task was moved to the dead-letter queue.
    Failed(TaskFailure),
}

impl TaskOutcome {
    /// Deserializes the value that the handler returned.
    ///
    /// # Errors
    /// If the task failed, or its value was not sent, or is of another type.
    pub fn value<Output: DeserializeOwned>(&self) -> Result<Output, Cause> {
        match self {
            // The parser's message is left out, because it repeats its input.
            TaskOutcome::Done(value) => serde_json::from_str(value.as_str()).map_err(|error| {
                Cause::BadResult { expected: type_name::<Output>(), column: error.column() }
            }),
            TaskOutcome::ResultTooLarge => Err(Cause::ResultTooLarge),
            TaskOutcome::ResultTooDeep => Err(Cause::ResultTooDeep),
            TaskOutcome::Failed(failure) => Err(Cause::Failed(failure.clone())),
        }
    }
}

/// Why a task was moved to the dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task failed after {} ({}): {}; its message is in the dead-letter queue", Counted(*.attempts, "attempt", "attempts"), Escaped(.kind), Escaped(.message))]
pub struct TaskFailure {
    /// The name of a [`DeadLetterReason`](crate::wire::DeadLetterReason), or of one that only newer
    /// workers know.
    pub kind: String,
    /// The worker's message, at most 1 KiB.
    pub message: String,
    /// The number of attempts that have ended.
    pub attempts: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_value_of_another_type_is_not_a_failure() {
        let done = TaskOutcome::Done(RawJson::parse("120").unwrap());
        assert_eq!(done.value::<u64>().unwrap(), 120);
        assert_eq!(done.value::<String>().unwrap_err().kind(), ErrorKind::BadResult);
        let failure =
            TaskFailure { kind: "Fatal".to_owned(), message: "no".to_owned(), attempts: 1 };
        let failed = TaskOutcome::Failed(failure).value::<u64>().unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Failed);
    }

    #[test]
    fn a_result_written_as_null_is_received_as_none() {
        for value in [RawJson::from_value(&Some(())), RawJson::from_value(&Some(None::<()>))] {
            let done = TaskOutcome::Done(value.unwrap());
            assert_eq!(done.value::<Option<Option<()>>>().unwrap(), None);
        }
    }

    #[test]
    fn an_error_about_a_result_does_not_repeat_it() {
        let done = TaskOutcome::Done(RawJson::parse(r#""secret""#).unwrap());
        let error = done.value::<u64>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
    }
}
