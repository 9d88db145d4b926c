//! Which of several things that one task polls were woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Records whether something was woken, and wakes the task that polls it. Polling a connection that
/// was not woken would cost a system call on some runtimes.
pub(super) struct Readiness {
    shared: Arc<Shared>,
    waker: Waker,
}

struct Shared {
    is_woken: AtomicBool,
    task: AtomicWaker,
}

impl Readiness {
    /// Woken at first: it was never polled.
    pub(super) fn new() -> Self {
        let shared = Shared { is_woken: AtomicBool::new(true), task: AtomicWaker::new() };
        let shared = Arc::new(shared);
        Readiness { waker: Waker::from(Arc::clone(&shared)), shared }
    }

    /// Whether it was woken since the last call. If not, the task of `context` will be.
    pub(super) fn take(&self, context: &Context<'_>) -> bool {
        // Registered before the check, so that no wake-up in between is missed.
        self.shared.task.register(context.waker());
        self.shared.is_woken.swap(false, Ordering::AcqRel)
    }

    /// Counts as woken, for the next call.
    pub(super) fn set(&self) {
        self.shared.is_woken.store(true, Ordering::Release);
    }

    /// What it must be polled with.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake();
    }
}
