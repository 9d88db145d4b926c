//! Blocks a thread on a future, without a runtime.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking::{Parker, Unparker};

use super::helping::{Helper, Sleeper, rouse, rouse_all, work_on_next};
use super::sleep_timers::SleepTimers;

thread_local! {
    /// The waiter that this thread used last, for reuse.
    static SPARE: Cell<Option<Waiter>> = const { Cell::new(None) };
}

/// Blocks the thread until the future is ready. Meanwhile, the thread runs the background futures
/// that it wakes.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    // While a thread ends, a destructor may call this after the thread-local storage is gone.
    let spare = SPARE.try_with(Cell::take).ok().flatten();
    let waiter = spare.unwrap_or_else(Waiter::new);
    let output = waiter.wait_for(future);
    let _ = SPARE.try_with(|spare| spare.set(Some(waiter)));
    output
}

/// The parker, waker and timers of a waiting thread.
pub(super) struct Waiter {
    parker: Parker,
    waker: Waker,
    timers: Arc<SleepTimers>,
}

impl Waiter {
    pub(super) fn new() -> Self {
        let parker = Parker::new();
        let waker = Waker::from(Arc::new(ThreadWaker(parker.unparker())));
        let timers = Arc::new(SleepTimers::new(parker.unparker()));
        Waiter { parker, waker, timers }
    }

    /// The timers that the thread checks while it waits.
    pub(super) fn timers(&self) -> &Arc<SleepTimers> {
        &self.timers
    }

    pub(super) fn wait_for<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(&self.waker);
        let helper = Helper::begin();
        loop {
            if let Poll::Ready(output) = self.timers.keep(|| future.as_mut().poll(&mut context)) {
                helper.end(|| false);
                return output;
            }
            // The thread's own future comes first, then the futures that it woke.
            while !self.parker.park_timeout(Duration::ZERO) {
                if !work_on_next() {
                    rouse_all();
                    self.timers.rest(&self.parker);
                    break;
                }
                self.timers.ring();
            }
        }
    }
}

/// Unparks the waiting thread.
struct ThreadWaker(Unparker);

impl Sleeper for ThreadWaker {
    fn rouse(&self) {
        self.0.unpark();
    }
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        rouse(self);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use futures_channel::oneshot;

    use super::*;
    use crate::threads::background::in_background;
    use crate::threads::helping;
    use crate::threads::sleep_timers::Sleep;

    #[test]
    fn a_thread_waits_for_another() {
        let (give, given) = oneshot::channel();
        let giver = thread::spawn(move || give.send(7).unwrap());
        assert_eq!(block_on(given), Ok(7));
        giver.join().unwrap();
    }

    #[test]
    fn a_thread_can_wait_while_it_ends() {
        struct WaitsAtLast(mpsc::Sender<Result<i32, oneshot::Canceled>>);
        impl Drop for WaitsAtLast {
            fn drop(&mut self) {
                let (give, given) = oneshot::channel();
                in_background("test", async move { give.send(7).unwrap() }).unwrap();
                let waiting = async {
                    Sleep::new(Instant::now() + Duration::from_millis(1)).await;
                    given.await
                };
                self.0.send(block_on(waiting)).unwrap();
            }
        }
        thread_local! {
            static WAITS: RefCell<Option<WaitsAtLast>> = const { RefCell::new(None) };
        }
        let (told, tell) = mpsc::channel();
        let ending = thread::spawn(|| {
            // Thread-locals are dropped in reverse order of first use.
            WAITS.set(Some(WaitsAtLast(told)));
            block_on(async { helping(|| in_background("test", async {}).unwrap()) });
        });
        ending.join().unwrap();
        assert_eq!(tell.recv().unwrap(), Ok(7));
    }

    #[test]
    fn nested_waits_end_independently() {
        let (give, given) = oneshot::channel();
        let outer = block_on(async {
            let inner = block_on(async { give.send(7) });
            (inner, given.await)
        });
        assert_eq!(outer, (Ok(()), Ok(7)));
    }
}
