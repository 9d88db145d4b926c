//! The log of events.

use std::fmt::{self, Display};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ivy_proto::Moment;
use ivy_proto::event::{Event, Fields, Level, LogLimit, LogLine, LogTarget};
use tracing::level_filters::LevelFilter;

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
        let level = match event.level() {
            Level::Info => tracing::Level::INFO,
            Level::Warn if self.admits(event) => tracing::Level::WARN,
            Level::Warn | Level::Debug => tracing::Level::DEBUG,
        };
        // Most events are at debug, which is seldom enabled.
        if level <= LevelFilter::current() {
            write_line(level, event.target(), &event.fields(), event);
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
        write_line(tracing::Level::WARN, line.target(), &line.fields(), line);
    }
}

/// Writes a line with its fields. The level and the target of each call to `tracing` are constants.
fn write_line(level: tracing::Level, target: LogTarget, fields: &Fields<'_>, text: &dyn Display) {
    macro_rules! write_to {
        ($level:ident, $target:ident) => {
            tracing::event!(
                target: LogTarget::$target.as_str(),
                // The current thread may be in the span of something unrelated.
                parent: None,
                tracing::Level::$level,
                task.id = fields.task_id.map(tracing::field::display),
                task.name = fields.task_name.map(tracing::field::display),
                queue = fields.queue.map(tracing::field::display),
                message.id = fields.message_id.map(tracing::field::display),
                attempt = fields.attempt,
                deliveries = fields.deliveries,
                reason = fields.reason,
                delay_s = fields.delay.map(|delay| delay.as_secs_f64()),
                took_s = fields.took.map(|took| took.as_secs_f64()),
                wait_s = fields.wait.map(|wait| wait.as_secs_f64()),
                error.kind = fields.error_kind,
                count = fields.count,
                "{text}"
            )
        };
    }
    macro_rules! write_at {
        ($level:ident) => {
            match target {
                LogTarget::Producer => write_to!($level, Producer),
                LogTarget::Queue => write_to!($level, Queue),
                LogTarget::Notifier => write_to!($level, Notifier),
                _ => write_to!($level, Worker),
            }
        };
    }
    match level {
        tracing::Level::WARN => write_at!(WARN),
        tracing::Level::INFO => write_at!(INFO),
        _ => write_at!(DEBUG),
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("limit", &self.limit).finish_non_exhaustive()
    }
}
