//! A one-shot flag.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "threads")]
use std::time::Instant;

use event_listener::Event;
#[cfg(feature = "threads")]
use event_listener::Listener;

/// A flag that is raised once and stays raised. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Flag {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    raised: AtomicBool,
    changed: Event,
}

impl Flag {
    pub(crate) fn is_raised(&self) -> bool {
        self.shared.raised.load(Ordering::Acquire)
    }

    pub(crate) fn raise(&self) {
        self.shared.raised.store(true, Ordering::Release);
        self.shared.changed.notify(usize::MAX);
    }

    /// Waits until the flag is raised. This is cancel safe.
    pub(crate) async fn raised(&self) {
        while !self.is_raised() {
            let changed = self.shared.changed.listen();
            // It may have been raised before this listener existed.
            if !self.is_raised() {
                changed.await;
            }
        }
    }

    /// Blocks the thread until the flag is raised, or until `until` if given. Returns whether it is
    /// raised.
    #[cfg(feature = "threads")]
    pub(crate) fn wait_deadline(&self, until: Option<Instant>) -> bool {
        while !self.is_raised() {
            let changed = self.shared.changed.listen();
            if self.is_raised() {
                break;
            }
            match until {
                None => changed.wait(),
                Some(until) if changed.wait_deadline(until).is_none() => return self.is_raised(),
                Some(_) => {}
            }
        }
        true
    }
}

impl fmt::Debug for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flag").field(&self.is_raised()).finish()
    }
}

/// Raises a flag when dropped.
#[derive(Debug)]
pub(crate) struct RaiseOnDrop(pub(crate) Flag);

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        self.0.raise();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_raised_flag_wakes_all_waiters_and_stays_raised() {
        let flag = Flag::default();
        let clone = flag.clone();
        let (mut one, mut other) = (Box::pin(flag.raised()), Box::pin(clone.raised()));
        assert!((&mut one).now_or_never().is_none() && (&mut other).now_or_never().is_none());
        flag.raise();
        assert!(clone.is_raised());
        assert!(one.now_or_never().is_some() && other.now_or_never().is_some());
        assert!(flag.raised().now_or_never().is_some());
    }

    #[cfg(feature = "threads")]
    #[test]
    fn a_blocking_wait_ends_when_the_flag_is_raised_or_the_time_is_over() {
        let flag = Flag::default();
        assert!(!flag.wait_deadline(Some(Instant::now() + std::time::Duration::from_millis(1))));
        let waiter = std::thread::spawn({
            let flag = flag.clone();
            move || flag.wait_deadline(None)
        });
        drop(RaiseOnDrop(flag.clone()));
        assert!(waiter.join().unwrap());
        assert!(flag.wait_deadline(None));
    }
}
