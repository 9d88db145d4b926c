//! The cancellation token of handlers in threads.

use std::time::{Duration, Instant};

use crate::flag::Flag;

/// Signals cancellation to a handler and to the work that it started elsewhere. Clones are
/// cancelled together.
///
/// A handler checks [`is_cancelled`](BlockingToken::is_cancelled) between the steps of its work,
/// and waits with [`cancelled_within`](BlockingToken::cancelled_within) instead of sleeping.
#[derive(Clone, Debug, Default)]
pub struct BlockingToken(Flag);

impl BlockingToken {
    pub(super) fn cancel(&self) {
        self.0.raise();
    }

    /// Whether the token is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_raised()
    }

    /// Waits until the token is cancelled.
    pub fn cancelled(&self) {
        self.0.wait_deadline(None);
    }

    /// Waits until the token is cancelled, for `timeout` at most. Returns whether it is cancelled.
    pub fn cancelled_within(&self, timeout: Duration) -> bool {
        // A time out of the clock's range means no limit.
        self.0.wait_deadline(Instant::now().checked_add(timeout))
    }
}
