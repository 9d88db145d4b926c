//! Which threads run the background futures.
//!
//! A thread that wakes such a future runs it if it has time: a switch to the future's own thread
//! and back would take longer than most of its work. A thread that has no time, such as one
//! executing code of the program, leaves it to the future's own thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use async_task::Runnable;

/// How often a thread that is otherwise done runs a future more than once, or the futures that it
/// wakes.
const EXTRA_TURNS: usize = 8;

thread_local! {
    /// Whether this thread runs the futures that it wakes.
    static RUNS_WOKEN: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread runs a future right now.
    static IS_RUNNING: Cell<bool> = const { Cell::new(false) };
    /// The pending work of this thread. Inaccessible while the thread ends.
    static WOKEN: WokenFutures = const { WokenFutures::new() };
}

struct WokenFutures {
    /// Woken futures, which run before anything else that may take long.
    woken: RefCell<VecDeque<Runnable>>,
    /// The threads to unpark after the current future.
    sleepers: RefCell<VecDeque<Arc<dyn Sleeper>>>,
}

impl WokenFutures {
    const fn new() -> Self {
        WokenFutures {
            woken: RefCell::new(VecDeque::new()),
            sleepers: RefCell::new(VecDeque::new()),
        }
    }
}

/// Does work that wakes background futures, and runs those and the futures that they wake for a few
/// turns. Futures that are still busy then move to their own threads, so that none waits for this
/// thread after it returns. Call it in a thread that has time, such as one that would read or wait
/// next.
///
/// The work must not block.
pub fn run_woken_by<T>(work: impl FnOnce() -> T) -> T {
    let runner = WokenFutureRunner::begin();
    let result = work();
    runner.end(|| true);
    result
}

/// While it lives, this thread runs the futures that it wakes.
pub(super) struct WokenFutureRunner {
    /// The previous setting.
    before: bool,
}

impl WokenFutureRunner {
    pub(super) fn begin() -> Self {
        let has_room = WOKEN.try_with(|_| ()).is_ok();
        WokenFutureRunner { before: RUNS_WOKEN.replace(has_room) }
    }

    /// Runs the woken futures until they wait, and then the futures that they woke while
    /// `has_time`, for a limited number of turns.
    pub(super) fn end(self, has_time: impl Fn() -> bool) {
        let mut extra_turns = EXTRA_TURNS;
        let mut left = WOKEN.try_with(|futures| futures.woken.borrow().len()).unwrap_or(0);
        while let Some(woken) = next() {
            if left > 0 {
                left -= 1;
            } else if extra_turns > 0 && has_time() {
                extra_turns -= 1;
            } else {
                enqueue(woken);
                return;
            }
            let is_not_done = run_one(woken);
            if is_not_done && extra_turns > 0 {
                extra_turns -= 1;
                left += 1;
            }
        }
    }
}

impl Drop for WokenFutureRunner {
    fn drop(&mut self) {
        unpark_deferred();
        RUNS_WOKEN.set(false);
        while let Some(woken) = next() {
            woken.schedule();
        }
        RUNS_WOKEN.set(self.before);
    }
}

/// Accepts a woken future, unless this thread has no time.
pub(super) fn try_enqueue(woken: Runnable) -> Result<(), Runnable> {
    if !RUNS_WOKEN.get() {
        return Err(woken);
    }
    enqueue(woken);
    Ok(())
}

/// Queues a woken future for this thread, which must be a helping one.
pub(super) fn enqueue(woken: Runnable) {
    WOKEN.with(|futures| futures.woken.borrow_mut().push_back(woken));
}

/// Runs one of the futures that this thread has woken. Returns whether there was one.
pub(super) fn run_next() -> bool {
    next().map(run_one).is_some()
}

/// Runs a future. Returns whether it was woken meanwhile and is queued for this thread again.
fn run_one(woken: Runnable) -> bool {
    let is_overdue = WOKEN.with(|futures| !futures.sleepers.borrow().is_empty());
    let before = IS_RUNNING.replace(true);
    let is_woken_again = woken.run();
    IS_RUNNING.set(before);
    if !before && (is_overdue || !is_woken_again) {
        unpark_deferred();
    }
    is_woken_again
}

fn next() -> Option<Runnable> {
    WOKEN.try_with(|futures| futures.woken.borrow_mut().pop_front()).ok().flatten()
}

/// A sleeping thread, or a group of threads of which one is to wake.
pub(super) trait Sleeper: Send + Sync {
    fn unpark(&self);
}

/// Wakes a thread after the current future has run. Woken earlier, it might take this thread's core
/// only to wait for what the current future has yet to do.
pub(super) fn unpark_after_current(sleeper: Arc<dyn Sleeper>) {
    if IS_RUNNING.get() {
        WOKEN.with(|futures| futures.sleepers.borrow_mut().push_back(sleeper));
    } else {
        sleeper.unpark();
    }
}

/// Wakes all threads whose wake-up was deferred.
pub(super) fn unpark_deferred() {
    let next =
        || WOKEN.try_with(|futures| futures.sleepers.borrow_mut().pop_front()).ok().flatten();
    while let Some(sleeper) = next() {
        sleeper.unpark();
    }
}
