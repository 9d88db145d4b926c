//! Telling those who work to stop.

use std::time::{Duration, Instant};

use crate::flag::Flag;

/// Tells a handler, and what it has started elsewhere, to stop. Its clones are cancelled together.
///
/// Between the parts of its work a handler asks [`is_cancelled`](BlockingToken::is_cancelled);
/// instead of sleeping it waits with [`cancelled_within`](BlockingToken::cancelled_within).
#[derive(Clone, Debug, Default)]
pub struct BlockingToken(Flag);

impl BlockingToken {
    pub(super) fn cancel(&self) {
        self.0.raise();
    }

    /// Whether it is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_raised()
    }

    /// Waits until it is cancelled.
    pub fn cancelled(&self) {
        self.0.wait_until(None);
    }

    /// Waits until it is cancelled, at most so long. Tells whether it is.
    pub fn cancelled_within(&self, timeout: Duration) -> bool {
        // A time that no clock reaches is for ever.
        self.0.wait_until(Instant::now().checked_add(timeout))
    }
}
