//! Telling those who work to stop.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Tells a handler, and what it has started elsewhere, to stop. Its clones are cancelled together.
///
/// Between the parts of its work a handler asks [`is_cancelled`](CancellationToken::is_cancelled);
/// instead of sleeping it waits with [`cancelled_within`](CancellationToken::cancelled_within).
#[derive(Clone)]
pub struct CancellationToken {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    cancelled: bool,
    reactions: Vec<Box<dyn FnOnce() + Send>>,
}

impl CancellationToken {
    pub(crate) fn new() -> Self {
        CancellationToken { shared: Arc::default() }
    }

    /// Whether it is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.state().cancelled
    }

    /// Waits until it is cancelled.
    pub fn cancelled(&self) {
        let waited = self.shared.changed.wait_while(self.state(), |state| !state.cancelled);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Waits until it is cancelled, at most so long. Tells whether it is.
    pub fn cancelled_within(&self, timeout: Duration) -> bool {
        let waiting = |state: &mut State| !state.cancelled;
        let waited = self.shared.changed.wait_timeout_while(self.state(), timeout, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.cancelled
    }

    pub(crate) fn cancel(&self) {
        let mut state = self.state();
        state.cancelled = true;
        let reactions = std::mem::take(&mut state.reactions);
        drop(state);
        self.shared.changed.notify_all();
        for reaction in reactions {
            reaction();
        }
    }

    /// Does this when it is cancelled, in the thread that cancels it; at once if it was already.
    pub(crate) fn on_cancel(&self, reaction: impl FnOnce() + Send + 'static) {
        let mut state = self.state();
        if !state.cancelled {
            return state.reactions.push(Box::new(reaction));
        }
        drop(state);
        reaction();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken").field("cancelled", &self.is_cancelled()).finish()
    }
}

/// Cancels when it is dropped, whatever the reason.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(pub(crate) CancellationToken);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_wait_ends_when_it_is_cancelled_or_the_time_is_over() {
        let token = CancellationToken::new();
        assert!(!token.cancelled_within(Duration::from_millis(1)));
        let waiting = token.clone();
        let waiter = thread::spawn(move || waiting.cancelled_within(Duration::MAX));
        token.cancel();
        assert!(waiter.join().unwrap());
        assert!(token.is_cancelled());
        token.cancelled();
    }

    #[test]
    fn reactions_run_once_also_when_they_come_late() {
        let (sender, reactions) = mpsc::channel();
        let token = CancellationToken::new();
        for when in ["early", "late"] {
            let sender = sender.clone();
            token.on_cancel(move || sender.send(when).unwrap());
            token.cancel();
        }
        assert_eq!(reactions.try_iter().collect::<Vec<_>>(), ["early", "late"]);
    }
}
