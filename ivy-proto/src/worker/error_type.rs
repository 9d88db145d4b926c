//! What kind of error a handler ended with, for traces.

use super::io::{CancelReason, JobOutcome};

/// The kind of every error that has none of its own.
const OTHER: &str = "_OTHER";

impl JobOutcome {
    /// The kind of error that the handler ended with, as the value of `error.type`: `Fatal`,
    /// `Panicked`, `TimeLimit`, `BadArgs`, `LeaseLost`, or `_OTHER` for the others. `None` if it
    /// succeeded, or postponed its task. `stopped` is why the handler was cancelled, if it was.
    #[must_use]
    pub fn error_type(&self, stopped: Option<CancelReason>) -> Option<&'static str> {
        if stopped == Some(CancelReason::LeaseLost) {
            // Another worker may run the message, so what the handler returned is discarded.
            return Some("LeaseLost");
        }
        Some(match self {
            JobOutcome::Done(_) | JobOutcome::ResultTooDeep => return None,
            JobOutcome::Failed(error) if error.postponed_by().is_some() => return None,
            JobOutcome::Failed(error) if error.is_fatal() => "Fatal",
            JobOutcome::Failed(_) | JobOutcome::NotRun => OTHER,
            JobOutcome::Panicked(_) => "Panicked",
            JobOutcome::BadArgs(_) => "BadArgs",
            JobOutcome::Cancelled => match stopped {
                Some(CancelReason::TimeLimit | CancelReason::LeaseLimit) => "TimeLimit",
                _ => OTHER,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::task::TaskError;
    use crate::wire::RawJson;

    fn done() -> JobOutcome {
        JobOutcome::Done(RawJson::null())
    }

    #[test]
    fn a_success_and_a_postponement_are_no_errors() {
        let later = TaskError::later(Duration::from_secs(1));
        for outcome in [done(), JobOutcome::ResultTooDeep, JobOutcome::Failed(later)] {
            assert_eq!(outcome.error_type(None), None);
        }
        assert_eq!(done().error_type(Some(CancelReason::TimeLimit)), None, "it ended in time");
        assert_eq!(done().error_type(Some(CancelReason::Drain)), None);
    }

    #[test]
    fn each_failure_has_the_name_of_its_kind_and_no_text_of_its_own() {
        let secret = || "secret".to_owned();
        for (outcome, kind) in [
            (JobOutcome::Failed(TaskError::fatal("secret")), "Fatal"),
            (JobOutcome::Failed(TaskError::new("secret")), "_OTHER"),
            (JobOutcome::Panicked(secret()), "Panicked"),
            (JobOutcome::BadArgs(secret()), "BadArgs"),
            (JobOutcome::NotRun, "_OTHER"),
            (JobOutcome::Cancelled, "_OTHER"),
        ] {
            assert_eq!(outcome.error_type(None), Some(kind));
        }
    }

    #[test]
    fn a_cancelled_handler_has_the_kind_of_its_reason() {
        for (reason, kind) in [
            (CancelReason::TimeLimit, "TimeLimit"),
            (CancelReason::LeaseLimit, "TimeLimit"),
            (CancelReason::LeaseLost, "LeaseLost"),
            (CancelReason::Drain, "_OTHER"),
        ] {
            assert_eq!(JobOutcome::Cancelled.error_type(Some(reason)), Some(kind));
        }
    }

    #[test]
    fn nothing_that_a_handler_returns_counts_once_its_lease_is_lost() {
        assert_eq!(done().error_type(Some(CancelReason::LeaseLost)), Some("LeaseLost"));
    }
}
