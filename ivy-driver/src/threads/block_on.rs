//! Blocks a thread on a future, without a runtime.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking::{Parker, Unparker};

use super::sleep_timers::SleepTimers;
use super::woken_futures::{
    Sleeper, WokenFutureRunner, run_next, unpark_after_current, unpark_deferred,
};

thread_local! {
    /// The waiter that this thread used last, for reuse.
    static SPARE: Cell<Option<Waiter>> = const { Cell::new(None) };
}

/// Blocks the thread until the future is ready. Meanwhile, the thread runs the background futures
/// that it wakes.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
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
        let runner = WokenFutureRunner::begin();
        loop {
            if let Poll::Ready(output) =
                self.timers.poll_with(|| future.as_mut().poll(&mut context))
            {
                runner.end(|| false);
                return output;
            }
            // The thread's own future comes first, then the futures that it woke.
            while !self.parker.park_timeout(Duration::ZERO) {
                if !run_next() {
                    unpark_deferred();
                    self.timers.park(&self.parker);
                    break;
                }
                self.timers.wake_due();
            }
        }
    }
}

/// Unparks the waiting thread.
struct ThreadWaker(Unparker);

impl Sleeper for ThreadWaker {
    fn unpark(&self) {
        self.0.unpark();
    }
}

impl Wake for ThreadWaker {
    fn wake(self: Arc<Self>) {
        unpark_after_current(self);
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
    use crate::threads::run_woken_by;
    use crate::threads::sleep_timers::Sleep;

    #[test]
    fn a_thread_waits_for_another() {
        let (sender, receiver) = oneshot::channel();
        let sending = thread::spawn(move || sender.send(7).unwrap());
        assert_eq!(block_on(receiver), Ok(7));
        sending.join().unwrap();
    }

    #[test]
    fn a_thread_can_wait_while_it_ends() {
        struct WaitsOnDrop(mpsc::Sender<Result<i32, oneshot::Canceled>>);
        impl Drop for WaitsOnDrop {
            fn drop(&mut self) {
                let (sender, receiver) = oneshot::channel();
                in_background("test", async move { sender.send(7).unwrap() }).unwrap();
                let waiting = async {
                    Sleep::new(Instant::now() + Duration::from_millis(1)).await;
                    receiver.await
                };
                self.0.send(block_on(waiting)).unwrap();
            }
        }
        thread_local! {
            static WAITS: RefCell<Option<WaitsOnDrop>> = const { RefCell::new(None) };
        }
        let (results, result) = mpsc::channel();
        let ending = thread::spawn(|| {
            // Thread-locals are dropped in reverse order of first use.
            WAITS.set(Some(WaitsOnDrop(results)));
            block_on(async { run_woken_by(|| in_background("test", async {}).unwrap()) });
        });
        ending.join().unwrap();
        assert_eq!(result.recv().unwrap(), Ok(7));
    }

    #[test]
    fn nested_waits_end_independently() {
        let (sender, receiver) = oneshot::channel();
        let outer = block_on(async {
            let inner = block_on(async { sender.send(7) });
            (inner, receiver.await)
        });
        assert_eq!(outer, (Ok(()), Ok(7)));
    }
}
