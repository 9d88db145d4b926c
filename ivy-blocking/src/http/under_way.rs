//! Work in another thread that ends early when nobody waits for it any more.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The working end: what is under way holds on to something that can be broken off.
pub(super) struct UnderWay<T> {
    state: Arc<Mutex<State<T>>>,
}

/// The waiting end. Dropping it breaks off what is under way, or keeps it from beginning.
pub(super) struct Wanted<T> {
    state: Arc<Mutex<State<T>>>,
    break_off: fn(T),
}

struct State<T> {
    is_given_up: bool,
    under_way: Option<T>,
}

/// Both ends of some work, and how it is broken off.
#[must_use]
pub(super) fn under_way<T>(break_off: fn(T)) -> (UnderWay<T>, Wanted<T>) {
    let state = Arc::new(Mutex::new(State { is_given_up: false, under_way: None }));
    (UnderWay { state: Arc::clone(&state) }, Wanted { state, break_off })
}

impl<T> UnderWay<T> {
    /// Lets this be broken off from now on.
    ///
    /// # Errors
    /// If nobody waits any more, this is given back.
    pub(super) fn begin(&self, work: T) -> Result<(), T> {
        let mut state = lock(&self.state);
        if state.is_given_up {
            return Err(work);
        }
        state.under_way = Some(work);
        Ok(())
    }

    /// It is done. Gives what has not been broken off.
    #[must_use]
    pub(super) fn end(&self) -> Option<T> {
        lock(&self.state).under_way.take()
    }
}

impl<T> fmt::Debug for UnderWay<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnderWay")
    }
}

impl<T> fmt::Debug for Wanted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wanted")
    }
}

impl<T> Drop for Wanted<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.is_given_up = true;
        if let Some(work) = state.under_way.take() {
            drop(state);
            (self.break_off)(work);
        }
    }
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    // No code that can panic runs while the lock is held.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    fn tell(teller: Sender<&str>) {
        teller.send("broken off").unwrap();
    }

    #[test]
    fn what_nobody_waits_for_is_broken_off_or_not_begun() {
        let (teller, told) = channel();
        let (work, wanted) = under_way(tell);
        work.begin(teller.clone()).unwrap();
        drop(wanted);
        assert_eq!(told.recv().unwrap(), "broken off");
        assert!(work.end().is_none());
        assert!(work.begin(teller).is_err());
    }

    #[test]
    fn what_is_done_is_not_broken_off() {
        let (teller, told) = channel();
        let (work, wanted) = under_way(tell);
        work.begin(teller).unwrap();
        assert!(work.end().is_some());
        drop(wanted);
        assert!(told.recv().is_err());
    }
}
