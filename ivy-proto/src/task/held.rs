//! Why a task waits for another worker.

use crate::name::QueueName;
use crate::text::Escaped;
use crate::wire::DeadLetterReason;

use super::TaskFailure;

/// Why a worker gave a task's message back to its queue without running it. The message was not for
/// that worker; another one may still run it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker of queue {queue} gave the message back: {}: {}; {}", Escaped(.kind), Escaped(.message), advice(.kind))]
pub struct TaskHeld {
    /// The physical queue.
    pub queue: QueueName,
    /// The name of a [`DeadLetterReason`], or of one that a newer worker knows.
    pub kind: String,
    /// What the worker said, at most 1 KiB.
    pub message: String,
    /// How often the handler was run to an end before, by other workers.
    pub attempts: u32,
}

impl TaskHeld {
    /// What a notice tells with these fields.
    pub(crate) fn of(queue: QueueName, error: TaskFailure) -> Self {
        let TaskFailure { kind, message, attempts } = error;
        TaskHeld { queue, kind, message, attempts }
    }
}

/// What would help.
fn advice(kind: &str) -> &'static str {
    match kind.parse() {
        Ok(DeadLetterReason::UnknownTask) => {
            "check that a worker that has a handler for this task serves the queue"
        }
        Ok(DeadLetterReason::BadArgs) => {
            "check that a worker of the version that takes these arguments serves the queue"
        }
        Ok(DeadLetterReason::CalledInFuture) => "check the clocks of both machines",
        _ => "check the version and the keys of the workers that serve the queue",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_queue_reason_and_what_to_do() {
        let held = TaskHeld {
            queue: QueueName::new("shop").unwrap(),
            kind: "UnknownTask".to_owned(),
            message: "no handler of\nthat name".to_owned(),
            attempts: 0,
        };
        assert_eq!(
            held.to_string(),
            "a worker of queue shop gave the message back: UnknownTask: no handler of\\nthat name; check that a worker that has a handler for this task serves the queue"
        );
    }

    #[test]
    fn a_reason_of_a_newer_worker_is_shown_with_general_advice() {
        let held = TaskHeld {
            queue: QueueName::new("shop").unwrap(),
            kind: "Tomorrow".to_owned(),
            message: "not yet".to_owned(),
            attempts: 2,
        };
        let text = held.to_string();
        assert!(text.contains("Tomorrow: not yet; check the version"), "{text}");
    }
}
