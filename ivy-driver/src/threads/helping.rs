//! Who works on what is in the background.
//!
//! Whoever wakes such a future works on it himself if he has time: a switch to a thread of the
//! future's own and back would take longer than most of what it has to do. Who has not, such as a
//! thread in the midst of a program's own code, hands it to that thread.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

use async_task::Runnable;

/// How often a thread that is done works on something more than once, or on what that wakes.
const MORE_TURNS: usize = 8;

thread_local! {
    /// Whether this thread works on what it wakes.
    static HELPS: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread works on something right now.
    static IS_AT_WORK: Cell<bool> = const { Cell::new(false) };
    /// What this thread is to do. A thread that is ending may have none any more.
    static WOKEN: WokenFutures = const { WokenFutures::new() };
}

struct WokenFutures {
    /// What was woken, and is worked on before anything else that may take long.
    woken: RefCell<VecDeque<Runnable>>,
    /// The threads to be roused after what it works on right now.
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

/// Does something that wakes what is in the background, and works on that and on what it wakes for a few
/// turns. What has more to do then is handed over, so that nothing waits for this thread when it has
/// returned. The thread must have time for that: one that would read or wait next.
///
/// What is done must not block.
pub fn helping<T>(work: impl FnOnce() -> T) -> T {
    let helper = Helper::begin();
    let result = work();
    helper.end(|| true);
    result
}

/// While it lives, this thread works on what it wakes.
pub(super) struct Helper {
    /// Whether it did before.
    before: bool,
}

impl Helper {
    pub(super) fn begin() -> Self {
        let has_room = WOKEN.try_with(|_| ()).is_ok();
        Helper { before: HELPS.replace(has_room) }
    }

    /// Works on what was woken until that waits, and then on what it has woken if there is time. But
    /// not for long.
    pub(super) fn end(self, has_time: impl Fn() -> bool) {
        let mut more_turns = MORE_TURNS;
        let mut left = WOKEN.try_with(|futures| futures.woken.borrow().len()).unwrap_or(0);
        while let Some(woken) = next() {
            if left > 0 {
                left -= 1;
            } else if more_turns > 0 && has_time() {
                more_turns -= 1;
            } else {
                keep(woken);
                return;
            }
            let is_not_done = work_on(woken);
            if is_not_done && more_turns > 0 {
                more_turns -= 1;
                left += 1;
            }
        }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        rouse_all();
        HELPS.set(false);
        while let Some(woken) = next() {
            woken.schedule();
        }
        HELPS.set(self.before);
    }
}

/// Takes something that is to be worked on, unless this thread has no time.
pub(super) fn take(woken: Runnable) -> Result<(), Runnable> {
    if !HELPS.get() {
        return Err(woken);
    }
    keep(woken);
    Ok(())
}

/// Keeps something for this thread, which must be one that works on what it wakes.
pub(super) fn keep(woken: Runnable) {
    WOKEN.with(|futures| futures.woken.borrow_mut().push_back(woken));
}

/// Works on one of those that this thread has woken, if there is any.
pub(super) fn work_on_next() -> bool {
    next().map(work_on).is_some()
}

/// Tells whether it was woken meanwhile, and is among those that this thread has woken again.
fn work_on(woken: Runnable) -> bool {
    let is_overdue = WOKEN.with(|futures| !futures.sleepers.borrow().is_empty());
    let before = IS_AT_WORK.replace(true);
    let is_woken_again = woken.run();
    IS_AT_WORK.set(before);
    if !before && (is_overdue || !is_woken_again) {
        rouse_all();
    }
    is_woken_again
}

fn next() -> Option<Runnable> {
    WOKEN.try_with(|futures| futures.woken.borrow_mut().pop_front()).ok().flatten()
}

/// A thread that sleeps, or some of which one is to wake.
pub(super) trait Sleeper: Send + Sync {
    fn rouse(&self);
}

/// Rouses a thread, once this one has done what it is working on. One that was roused earlier might
/// take its core, only to find that it has to wait for what is not done.
pub(super) fn rouse(sleeper: Arc<dyn Sleeper>) {
    if IS_AT_WORK.get() {
        WOKEN.with(|futures| futures.sleepers.borrow_mut().push_back(sleeper));
    } else {
        sleeper.rouse();
    }
}

/// Rouses all who were to be roused later.
pub(super) fn rouse_all() {
    let next =
        || WOKEN.try_with(|futures| futures.sleepers.borrow_mut().pop_front()).ok().flatten();
    while let Some(sleeper) = next() {
        sleeper.rouse();
    }
}
