//! Which of many calls have changed, for one caller that waits for all of them.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The numbers of the calls that have changed since they were last taken.
#[derive(Debug, Default)]
pub(crate) struct CallChanges(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    changed: Vec<usize>,
    /// The waker of the caller, until it is woken.
    waker: Option<Waker>,
}

impl CallChanges {
    /// Replaces `taken` with the numbers of the calls that have changed, or has the caller woken by
    /// the next change. A number may occur more than once.
    pub(crate) fn poll_take(&self, taken: &mut Vec<usize>, context: &mut Context<'_>) -> Poll<()> {
        taken.clear();
        let mut state = self.state();
        if state.changed.is_empty() {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        mem::swap(&mut state.changed, taken);
        Poll::Ready(())
    }

    fn add(&self, number: usize) {
        let waker = {
            let mut state = self.state();
            state.changed.push(number);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports the changes of the call with this number.
#[derive(Debug)]
pub(crate) struct CallWatch {
    pub(crate) changes: Arc<CallChanges>,
    pub(crate) number: usize,
}

impl CallWatch {
    pub(crate) fn report(&self) {
        self.changes.add(self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_first_change_after_a_look_wakes_the_caller_and_all_are_taken_in_order() {
        let (changes, woken) = (Arc::new(CallChanges::default()), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut taken = vec![9];
        for look in 1..3 {
            assert!(changes.poll_take(&mut taken, &mut context).is_pending());
            assert!(taken.is_empty());
            for number in [5, 3, 5] {
                CallWatch { changes: Arc::clone(&changes), number }.report();
            }
            assert_eq!(woken.0.load(Ordering::SeqCst), look);
            assert!(changes.poll_take(&mut taken, &mut context).is_ready());
            assert_eq!(taken, [5, 3, 5]);
        }
    }
}
