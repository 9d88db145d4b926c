//! Waiting for a future in a thread, without a runtime.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use parking::Parker;

/// Blocks the thread until the future is ready.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let parker = Parker::new();
    let waker = Waker::from(parker.unparker());
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        match ALARMS.with_borrow(Alarms::next) {
            None => parker.park(),
            Some(at) => {
                parker.park_deadline(at);
            }
        }
        for waker in ALARMS.with_borrow_mut(Alarms::due) {
            waker.wake();
        }
    }
}

thread_local! {
    /// Who sleeps in the futures that this thread waits for.
    static ALARMS: RefCell<Alarms> = const { RefCell::new(Alarms(BTreeMap::new())) };
    static LAST_SLEEP: Cell<u64> = const { Cell::new(0) };
}

/// Who is to be woken, by when.
struct Alarms(BTreeMap<(Instant, u64), Waker>);

impl Alarms {
    fn next(&self) -> Option<Instant> {
        self.0.first_key_value().map(|((at, _), _)| *at)
    }

    fn due(&mut self) -> Vec<Waker> {
        let now = Instant::now();
        let mut due = Vec::new();
        while let Some(first) = self.0.first_entry()
            && first.key().0 <= now
        {
            due.push(first.remove());
        }
        due
    }
}

/// Sleeps until a time, in a future that [`block_on`] waits for.
pub(super) struct Sleep {
    until: Instant,
    id: u64,
}

impl Sleep {
    pub(super) fn new(until: Instant) -> Self {
        let id = LAST_SLEEP.get() + 1;
        LAST_SLEEP.set(id);
        Sleep { until, id }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.until {
            return Poll::Ready(());
        }
        let alarm = (self.until, self.id);
        ALARMS.with_borrow_mut(|alarms| alarms.0.insert(alarm, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        // Another thread that it was once polled in is woken once for nothing.
        let alarm = (self.until, self.id);
        let _ = ALARMS.try_with(|alarms| alarms.borrow_mut().0.remove(&alarm));
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use futures_channel::oneshot;
    use futures_util::future::{Either, join, select};
    use futures_util::stream::{FuturesUnordered, StreamExt};

    use super::*;

    fn in_millis(millis: u64) -> Sleep {
        Sleep::new(Instant::now() + Duration::from_millis(millis))
    }

    #[test]
    fn a_thread_waits_for_what_another_gives() {
        let (give, given) = oneshot::channel();
        let giver = thread::spawn(move || give.send(7).unwrap());
        assert_eq!(block_on(given), Ok(7));
        giver.join().unwrap();
    }

    #[test]
    fn a_sleep_ends_when_its_time_has_come_wherever_it_sleeps() {
        let begun = Instant::now();
        let sleeps: FuturesUnordered<_> = [40, 20].map(in_millis).into_iter().collect();
        block_on(join(sleeps.count(), in_millis(30)));
        assert!(begun.elapsed() >= Duration::from_millis(40));
    }

    #[test]
    fn a_sleep_that_is_dropped_wakes_nobody() {
        let (_give, given) = oneshot::channel::<()>();
        let quick = block_on(select(in_millis(1), select(in_millis(60_000), given)));
        assert!(matches!(quick, Either::Left(_)));
        drop(quick);
        assert!(ALARMS.with_borrow(|alarms| alarms.0.is_empty()));
    }
}
