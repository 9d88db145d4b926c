//! Panics of user code, after they were caught.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::worker::JobOutcome;

use super::TaskError;

impl JobOutcome {
    /// The outcome of a handler whose panic was caught: [`Panicked`](JobOutcome::Panicked), with
    /// the panic message.
    #[must_use]
    pub fn from_panic(payload: Box<dyn Any + Send>) -> Self {
        TaskError::from_panic(payload).into_outcome()
    }

    /// The former name of [`from_panic`](JobOutcome::from_panic).
    #[must_use]
    #[deprecated(note = "renamed to `from_panic`, as conversions are named")]
    pub fn of_panic(payload: Box<dyn Any + Send>) -> Self {
        JobOutcome::from_panic(payload)
    }
}

impl TaskError {
    /// The error of a handler whose panic was caught, with the panic message.
    pub(super) fn from_panic(payload: Box<dyn Any + Send>) -> Self {
        let message = if let Some(message) = payload.downcast_ref::<&str>() {
            (*message).to_owned()
        } else if let Some(message) = payload.downcast_ref::<String>() {
            message.clone()
        } else {
            "the handler panicked without a message".to_owned()
        };
        discard_panic(payload);
        TaskError::panicked(message)
    }
}

/// Drops the payload of a panic that was caught.
///
/// A payload may have a destructor that panics as well. That panic is caught here, and its own
/// payload is leaked, because it might panic too.
pub fn discard_panic(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_payload_is_the_message() {
        let message = |payload: Box<dyn Any + Send>| match JobOutcome::from_panic(payload) {
            JobOutcome::Panicked(message) => message,
            other => panic!("{other:?}"),
        };
        assert_eq!(message(Box::new("out of cheese")), "out of cheese");
        assert_eq!(message(Box::new("out of cheese".to_owned())), "out of cheese");
        assert_eq!(message(Box::new(7)), "the handler panicked without a message");
    }

    #[test]
    fn a_panicking_destructor_of_a_payload_is_caught() {
        struct PanicsOnDrop;
        impl Drop for PanicsOnDrop {
            fn drop(&mut self) {
                std::panic::panic_any(PanicsOnDrop);
            }
        }
        let outcome = JobOutcome::from_panic(Box::new(PanicsOnDrop));
        assert!(matches!(outcome, JobOutcome::Panicked(_)), "{outcome:?}");
    }
}
