//! Something that happens once, and lasts.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
#[cfg(feature = "threads")]
use std::time::Instant;

use event_listener::Event;
#[cfg(feature = "threads")]
use event_listener::Listener;

/// Something that happens once, and lasts. Its clones are the same flag.
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

    /// Waits until it is raised. Dropping the future loses nothing.
    pub(crate) async fn raised(&self) {
        while !self.is_raised() {
            let changed = self.shared.changed.listen();
            // It may have been raised before the listening began.
            if !self.is_raised() {
                changed.await;
            }
        }
    }

    /// Blocks the thread until it is raised, or until this time if there is one. Tells whether it
    /// is raised.
    #[cfg(feature = "threads")]
    pub(crate) fn wait_until(&self, until: Option<Instant>) -> bool {
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

/// Raises a flag when it is dropped, whatever the reason.
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
    fn all_clones_of_a_flag_see_it_raised_and_stay_so() {
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
    fn a_wait_in_a_thread_ends_when_it_is_raised_or_the_time_is_over() {
        let flag = Flag::default();
        assert!(!flag.wait_until(Some(Instant::now() + std::time::Duration::from_millis(1))));
        let waiter = std::thread::spawn({
            let flag = flag.clone();
            move || flag.wait_until(None)
        });
        drop(RaiseOnDrop(flag.clone()));
        assert!(waiter.join().unwrap());
        assert!(flag.wait_until(None));
    }
}
