//! Work in another thread that is cancelled when its waiter is dropped.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The working end.
#[derive(Clone, Default)]
pub(super) struct Cancellable(Arc<Mutex<State>>);

/// The waiting end. Dropping it cancels the work, or prevents it from beginning.
#[derive(Default)]
pub(super) struct CancelOnDrop(Cancellable);

#[derive(Default)]
enum State {
    #[default]
    NotBegun,
    /// Contains the function that cancels it.
    Begun(Box<dyn FnOnce() + Send>),
    Over,
}

impl CancelOnDrop {
    /// The working end of the same work.
    pub(super) fn work(&self) -> Cancellable {
        self.0.clone()
    }
}

impl Cancellable {
    /// Begins the work unless it was cancelled, and returns whether it did. From now on `cancel`
    /// cancels it.
    pub(super) fn begin(&self, cancel: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.lock();
        let is_wanted = !matches!(*state, State::Over);
        if is_wanted {
            *state = State::Begun(Box::new(cancel));
        }
        is_wanted
    }

    /// Ends the work. Returns whether it was not cancelled; afterwards it cannot be.
    pub(super) fn end(&self) -> bool {
        matches!(self.over(), State::Begun(_))
    }

    fn over(&self) -> State {
        mem::replace(&mut self.lock(), State::Over)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let State::Begun(cancel) = self.0.over() {
            cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    fn report(cancelled: Sender<()>) {
        cancelled.send(()).unwrap();
    }

    #[test]
    fn work_without_a_waiter_is_cancelled_or_not_begun() {
        let (cancelled, is_cancelled) = channel();
        let wanted = CancelOnDrop::default();
        let work = wanted.work();
        assert!(work.begin(move || report(cancelled)));
        drop(wanted);
        is_cancelled.recv().unwrap();
        assert!(!work.end());
        assert!(!work.begin(|| unreachable!("its waiter is gone")));
    }

    #[test]
    fn completed_work_is_not_cancelled() {
        let (cancelled, is_cancelled) = channel();
        let wanted = CancelOnDrop::default();
        let work = wanted.work();
        assert!(work.begin(move || report(cancelled)));
        assert!(work.end());
        drop(wanted);
        assert!(is_cancelled.recv().is_err());
    }
}
