//! The log of events.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ivy_proto::Moment;
use ivy_proto::event::{Event, Level, LogLimit, LogLine};

use crate::clock::Clock;
use crate::runtime::Runtime;

/// Writes a line for each event, at its level; warnings beyond the limit of a [`LogLimit`] at debug.
///
/// It has no timer of its own: the pumps of producers and workers wake for it as they do for their
/// machines.
pub(crate) struct Log {
    limit: Mutex<LogLimit>,
    now: Box<dyn Fn() -> Moment + Send + Sync>,
    /// When the next line is due, in nanoseconds. Atomic, so that pumps take the lock only if there
    /// is one.
    next_due: AtomicU64,
}

impl Log {
    pub(crate) fn new<R: Runtime>(clock: Clock<R>) -> Self {
        Log {
            limit: Mutex::default(),
            now: Box::new(move || clock.now()),
            next_due: AtomicU64::new(u64::MAX),
        }
    }

    pub(crate) fn write(&self, event: &Event) {
        // The current thread may be in the span of something unrelated, so no span is entered.
        match event.level() {
            Level::Info => tracing::info!(parent: None, "{event}"),
            Level::Warn if self.admits(event) => tracing::warn!(parent: None, "{event}"),
            Level::Warn | Level::Debug => tracing::debug!(parent: None, "{event}"),
        }
    }

    fn admits(&self, event: &Event) -> bool {
        let now = (self.now)();
        self.write_due(now);
        self.with_limit(|limit| limit.admits(event, now))
    }

    /// Writes the lines that are due.
    pub(crate) fn write_due(&self, now: Moment) {
        if self.next_due().is_some_and(|due| due <= now) {
            write_all(&self.with_limit(|limit| limit.due(now)));
        }
    }

    /// Writes everything held back so far: a producer or worker has ended, and perhaps none remains
    /// that would wake when it is due.
    pub(crate) fn flush(&self) {
        write_all(&self.with_limit(LogLimit::flush));
    }

    /// When the next line is due, if there is one.
    pub(crate) fn next_due(&self) -> Option<Moment> {
        let nanos = self.next_due.load(Ordering::Acquire);
        (nanos != u64::MAX).then(|| Moment::from_nanos(nanos))
    }

    fn with_limit<T>(&self, act: impl FnOnce(&mut LogLimit) -> T) -> T {
        let mut limit = self.lock();
        let result = act(&mut limit);
        let next_due = limit.next_due().map_or(u64::MAX, Moment::as_nanos);
        self.next_due.store(next_due, Ordering::Release);
        result
    }

    fn lock(&self) -> MutexGuard<'_, LogLimit> {
        // Neither code that can panic nor a subscriber runs while the lock is held.
        self.limit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_all(lines: &[LogLine]) {
    for line in lines {
        tracing::warn!(parent: None, "{line}");
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("limit", &self.limit).finish_non_exhaustive()
    }
}
