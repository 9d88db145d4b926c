//! The stream of events.

use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fork_check::Process;
use event_listener::EventListener;
use ivy_proto::Moment;
use ivy_proto::event::Event;

use crate::clock::Clock;
use crate::log::Log;
use crate::runtime::Runtime;

/// How many unread events a watcher keeps. A slower reader misses the oldest.
const MAX_UNREAD: usize = 1024;

/// Passes a machine's events to the log and to all watchers.
#[derive(Clone, Debug)]
pub(crate) struct EventSink {
    watchers: Arc<Watchers>,
    /// The watchers of the parent sink, if this is a child.
    parent: Option<Arc<Watchers>>,
    /// Shared with all children, so that its limit applies to all of them together.
    log: Arc<Log>,
}

impl EventSink {
    pub(crate) fn new<R: Runtime>(clock: Clock<R>) -> Self {
        EventSink { watchers: Arc::default(), parent: None, log: Arc::new(Log::new(clock)) }
    }

    /// A child sink: its events also reach the parent's watchers.
    pub(crate) fn child(&self) -> Self {
        let parent = Some(Arc::clone(&self.watchers));
        EventSink { watchers: Arc::default(), parent, log: Arc::clone(&self.log) }
    }

    pub(crate) fn emit(&self, event: Event) {
        self.log.write(&event);
        if let Some(parent) = &self.parent {
            parent.push(&event);
        }
        self.watchers.push(&event);
    }

    /// Writes the log lines that are due.
    pub(crate) fn tick(&self, now: Moment) {
        self.log.write_due(now);
    }

    /// Ends this sink: writes what the log has held back so far.
    pub(crate) fn end(&self) {
        self.log.flush();
    }

    /// When to tick next, for a machine that wakes at `deadline` itself.
    pub(crate) fn next_wake(&self, deadline: Option<Moment>) -> Option<Moment> {
        deadline.into_iter().chain(self.log.next_due()).min()
    }

    pub(crate) fn watch<R>(&self) -> Events<R> {
        let unread_events = Arc::new(UnreadEvents::default());
        self.watchers.add(Arc::clone(&unread_events));
        Events { unread_events, process: Process::current(), runtime: PhantomData }
    }
}

/// The watchers of one sink.
#[derive(Debug, Default)]
struct Watchers {
    watchers: Mutex<Vec<Arc<UnreadEvents>>>,
    /// Whether there may be a watcher. Usually there is none, and the lock is not taken.
    may_have_watchers: AtomicBool,
}

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<UnreadEvents>>> {
        // No code that can panic runs while the lock is held.
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, unread_events: Arc<UnreadEvents>) {
        let mut watchers = self.lock();
        // Removes dropped watchers, even if no event happens.
        watchers.retain(|unread_events| Arc::strong_count(unread_events) > 1);
        watchers.push(unread_events);
        self.may_have_watchers.store(true, Ordering::Release);
    }

    fn push(&self, event: &Event) {
        if !self.may_have_watchers.load(Ordering::Acquire) {
            return;
        }
        let mut watchers = self.lock();
        watchers.retain(|unread_events| {
            // If only this list owns it, its `Events` was dropped.
            let is_watched = Arc::strong_count(unread_events) > 1;
            if is_watched {
                unread_events.add(event.clone());
            }
            is_watched
        });
        self.may_have_watchers.store(!watchers.is_empty(), Ordering::Release);
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for unread_events in self.lock().drain(..) {
            unread_events.lock().ended = true;
            unread_events.changed.notify(usize::MAX);
        }
    }
}

/// The unread events of one watcher.
#[derive(Debug, Default)]
struct UnreadEvents {
    unread: Mutex<Unread>,
    changed: event_listener::Event,
}

#[derive(Debug, Default)]
struct Unread {
    events: VecDeque<Event>,
    missed: u64,
    ended: bool,
}

impl UnreadEvents {
    fn lock(&self) -> MutexGuard<'_, Unread> {
        // No code that can panic runs while the lock is held.
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, event: Event) {
        let mut unread = self.lock();
        if unread.events.len() == MAX_UNREAD {
            unread.events.pop_front();
            unread.missed += 1;
        }
        unread.events.push_back(event);
        self.changed.notify(usize::MAX);
    }
}

/// A stream of [`Event`]s, from the moment at which it was created.
///
/// It buffers the last 1024 events. A slower reader misses the oldest; [`missed`](Events::missed)
/// counts them.
pub struct Events<R> {
    unread_events: Arc<UnreadEvents>,
    process: Process,
    runtime: PhantomData<fn() -> R>,
}

impl<R> Events<R> {
    /// How many events this reader has missed so far.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.unread_events.lock().missed
    }

    /// The next event, or `None` if no more will come. If neither is known yet, a listener to wait
    /// on before the next try.
    pub(crate) fn take(&mut self) -> Result<Option<Event>, EventListener> {
        // A fork of the watched process has no events.
        if !self.process.is_current() {
            return Ok(None);
        }
        let changed = self.unread_events.changed.listen();
        let mut unread = self.unread_events.lock();
        match unread.events.pop_front() {
            None if !unread.ended => Err(changed),
            event => Ok(event),
        }
    }
}

impl<R> fmt::Debug for Events<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("missed", &self.unread_events.lock().missed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Tokio;

    #[tokio::test]
    async fn events_that_a_slow_reader_misses_are_counted() {
        let sink = EventSink::new(Clock::<Tokio>::start());
        let mut events = sink.watch::<Tokio>();
        for _ in 0..MAX_UNREAD + 10 {
            sink.emit(Event::NoticeIgnored);
        }
        assert_eq!(events.next().await, Some(Event::NoticeIgnored));
        assert_eq!(events.missed(), 10);
    }

    #[tokio::test]
    async fn events_of_a_child_reach_the_watchers_of_its_parent_but_not_the_reverse() {
        let parent = EventSink::new(Clock::<Tokio>::start());
        let child = parent.child();
        let (mut of_parent, mut of_child) = (parent.watch::<Tokio>(), child.watch::<Tokio>());
        child.emit(Event::NoticeIgnored);
        parent.emit(Event::NoticeIgnored);
        drop((parent, child));
        assert!(of_child.next().await.is_some());
        assert!(of_child.next().await.is_none());
        assert!(of_parent.next().await.is_some());
        assert!(of_parent.next().await.is_some());
        assert!(of_parent.next().await.is_none());
    }

    #[test]
    fn dropped_watchers_are_removed_even_without_events() {
        let sink = EventSink::new(Clock::<Tokio>::start());
        for _ in 0..10 {
            drop(sink.watch::<Tokio>());
        }
        assert!(sink.watchers.lock().len() <= 1);
    }

    #[test]
    fn a_dropped_watcher_is_removed() {
        let sink = EventSink::new(Clock::<Tokio>::start());
        drop(sink.watch::<Tokio>());
        sink.emit(Event::NoticeIgnored);
        assert!(sink.watchers.lock().is_empty());
    }
}
