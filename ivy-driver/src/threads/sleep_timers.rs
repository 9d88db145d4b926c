//! Timers of sleeping futures.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking::{Parker, Unparker};

thread_local! {
    /// The timers of the futures that this thread polls. `None` while it polls none, so that
    /// nothing is left to drop when the thread ends; accessible until the very end of the thread.
    static CURRENT: ManuallyDrop<RefCell<Option<Arc<SleepTimers>>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
}

/// The timers of sleeping futures, all checked by one thread, whichever threads poll the futures.
pub(super) struct SleepTimers {
    unparker: Unparker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sleepers: BTreeMap<(Instant, u64), Waker>,
    last_id: u64,
    park: ParkState,
}

/// The state of the timer thread.
#[derive(Default)]
enum ParkState {
    /// It will check the timers before it parks.
    #[default]
    Awake,
    /// It is parked until then, or indefinitely.
    Until(Option<Instant>),
}

impl SleepTimers {
    /// Timers checked by the thread that this unparks.
    pub(super) fn new(unparker: Unparker) -> Self {
        SleepTimers { unparker, state: Mutex::default() }
    }

    /// Polls a future whose sleeps use these timers.
    pub(super) fn poll_with<T>(self: &Arc<Self>, poll: impl FnOnce() -> T) -> T {
        let _restored = Restored(CURRENT.with(|current| current.replace(Some(Arc::clone(self)))));
        poll()
    }

    /// Parks until the thread is unparked or a timer is due, and wakes all that are due.
    pub(super) fn park(&self, parker: &Parker) {
        let until = {
            let mut state = self.state();
            let until = state.sleepers.first_key_value().map(|((at, _), _)| *at);
            state.park = ParkState::Until(until);
            until
        };
        match until {
            None => parker.park(),
            Some(until) => {
                parker.park_deadline(until);
            }
        }
        self.wake_due();
    }

    /// Wakes all whose timer is due.
    pub(super) fn wake_due(&self) {
        for sleeper in self.due() {
            sleeper.wake();
        }
    }

    fn due(&self) -> Vec<Waker> {
        let mut state = self.state();
        state.park = ParkState::Awake;
        let mut due = Vec::new();
        if !state.sleepers.is_empty() {
            let now = Instant::now();
            while let Some(first) = state.sleepers.first_entry()
                && first.key().0 <= now
            {
                due.push(first.remove());
            }
        }
        due
    }

    /// Sets a timer, or replaces the waker of one that is set.
    fn set(&self, until: Instant, id: Option<u64>, waker: Waker) -> u64 {
        let mut state = self.state();
        let id = id.unwrap_or_else(|| {
            state.last_id += 1;
            state.last_id
        });
        let other = state.sleepers.insert((until, id), waker);
        // A thread that parks for too short a time notices when it wakes.
        let is_earlier = match state.park {
            ParkState::Awake => false,
            ParkState::Until(parked) => parked.is_none_or(|parked| until < parked),
        };
        if is_earlier {
            state.park = ParkState::Until(Some(until));
        }
        drop(state);
        if is_earlier {
            self.unparker.unpark();
        }
        // After the lock is released: it may be the last reference to its future.
        drop(other);
        id
    }

    fn unset(&self, until: Instant, id: u64) {
        let sleeper = self.state().sleepers.remove(&(until, id));
        // As above.
        drop(sleeper);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Restores the previous timers.
struct Restored(Option<Arc<SleepTimers>>);

impl Drop for Restored {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(self.0.take()));
    }
}

/// Sleeps until a time, in a future that [`block_on`](super::block_on) waits for or that runs in
/// the background.
pub(super) struct Sleep {
    until: Instant,
    timer: Option<(Arc<SleepTimers>, u64)>,
}

impl Sleep {
    pub(super) fn new(until: Instant) -> Self {
        Sleep { until, timer: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.until {
            return Poll::Ready(());
        }
        let Some(current) = CURRENT.with(|current| current.borrow().clone()) else {
            // This thread has no timers, so the future busy-polls.
            context.waker().wake_by_ref();
            return Poll::Pending;
        };
        if let Some((timers, id)) = self.timer.take_if(|(timers, _)| !Arc::ptr_eq(timers, &current))
        {
            timers.unset(self.until, id);
        }
        let id = self.timer.as_ref().map(|(_, id)| *id);
        let id = current.set(self.until, id, context.waker().clone());
        self.timer = Some((current, id));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((timers, id)) = self.timer.take() {
            timers.unset(self.until, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_channel::oneshot;
    use futures_util::future::{Either, join, select};
    use futures_util::stream::{FuturesUnordered, StreamExt};

    use super::*;
    use crate::threads::block_on;

    fn in_millis(millis: u64) -> Sleep {
        Sleep::new(Instant::now() + Duration::from_millis(millis))
    }

    #[test]
    fn a_sleep_ends_on_time_in_any_thread() {
        let begun = Instant::now();
        let sleeps: FuturesUnordered<_> = [40, 20].map(in_millis).into_iter().collect();
        block_on(join(sleeps.count(), in_millis(30)));
        assert!(begun.elapsed() >= Duration::from_millis(40));
    }

    #[test]
    fn a_dropped_sleep_wakes_no_future() {
        let (_sender, receiver) = oneshot::channel::<()>();
        let current = || CURRENT.with(|current| current.borrow().clone()).unwrap();
        let timers = block_on(async {
            let quick = select(in_millis(1), select(in_millis(60_000), receiver)).await;
            assert!(matches!(quick, Either::Left(_)));
            assert_eq!(current().state().sleepers.len(), 1);
            current()
        });
        assert!(timers.state().sleepers.is_empty());
    }

    #[test]
    fn a_sleep_continues_in_another_waiter() {
        let mut sleep = in_millis(20);
        let (_sender, mut receiver) = oneshot::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(|| block_on(select(&mut sleep, select(in_millis(1), &mut receiver))));
        });
        block_on(sleep);
    }

    #[test]
    fn a_sleep_ends_without_a_timer_thread() {
        futures_util::FutureExt::now_or_never(in_millis(60_000)).ok_or(()).unwrap_err();
        let begun = Instant::now();
        let running = tokio::runtime::Builder::new_current_thread().build().unwrap();
        running.block_on(in_millis(5));
        assert!(begun.elapsed() >= Duration::from_millis(5));
    }
}
