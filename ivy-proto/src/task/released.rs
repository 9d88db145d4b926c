//! Why a task waits for another worker.

use crate::name::QueueName;
use crate::text::Escaped;
use crate::wire::DeadLetterReason;

use super::TaskFailure;

/// Why a worker released a task's message without running it. The worker cannot handle the message,
/// but another one may.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker of queue {queue} released the message: {}: {}; {}", Escaped(.kind), Escaped(.message), advice(.kind))]
pub struct TaskReleased {
    /// The physical queue.
    pub queue: QueueName,
    /// The name of a [`DeadLetterReason`], or of one that only newer workers know.
    pub kind: String,
    /// The worker's message, at most 1 KiB.
    pub message: String,
    /// The number of attempts that had ended before, on other workers.
    pub attempts: u32,
}

/// The former name of [`TaskReleased`].
#[deprecated(note = "renamed to `TaskReleased`: a message is held only while its lease lasts")]
pub type TaskHeld = TaskReleased;

impl TaskReleased {
    /// Creates it from the fields of a notice.
    pub(crate) fn of(queue: QueueName, error: TaskFailure) -> Self {
        let TaskFailure { kind, message, attempts } = error;
        TaskReleased { queue, kind, message, attempts }
    }
}

/// Advice for a reason.
fn advice(kind: &str) -> &'static str {
    match kind.parse() {
        Ok(DeadLetterReason::UnknownTask) => {
            "check that a worker with a handler for this task serves the queue"
        }
        Ok(DeadLetterReason::BadArgs) => {
            "check that a worker whose version accepts these arguments serves the queue"
        }
        Ok(DeadLetterReason::CalledInFuture) => "check the clocks of both hosts",
        _ => "check the version and the keys of the workers that serve the queue",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_queue_reason_and_advice() {
        let release = TaskReleased {
            queue: QueueName::new("shop").unwrap(),
            kind: "UnknownTask".to_owned(),
            message: "no handler of\nthat name".to_owned(),
            attempts: 0,
        };
        assert_eq!(
            release.to_string(),
            "a worker of queue shop released the message: UnknownTask: no handler of\\nthat name; check that a worker with a handler for this task serves the queue"
        );
    }

    #[test]
    fn a_reason_of_a_newer_worker_is_shown_with_general_advice() {
        let release = TaskReleased {
            queue: QueueName::new("shop").unwrap(),
            kind: "Tomorrow".to_owned(),
            message: "not yet".to_owned(),
            attempts: 2,
        };
        let text = release.to_string();
        assert!(text.contains("Tomorrow: not yet; check the version"), "{text}");
    }
}
