//! The stream of what happens.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ivy_proto::event::{Event, Level};

/// How many events are kept for those who watch. Who is slower misses the oldest.
const KEPT: usize = 1024;

/// Where a machine's events go: to the log, and to all who watch.
#[derive(Clone, Debug)]
pub(crate) struct EventSink {
    watchers: Arc<Watchers>,
    /// The sink of the whole, if this is that of a part.
    whole: Option<Arc<Watchers>>,
}

impl EventSink {
    pub(crate) fn new() -> Self {
        EventSink { watchers: Arc::default(), whole: None }
    }

    /// A sink for a part: what goes in is seen here and in the whole.
    pub(crate) fn part(&self) -> Self {
        EventSink { watchers: Arc::default(), whole: Some(Arc::clone(&self.watchers)) }
    }

    pub(crate) fn emit(&self, event: Event) {
        match event.level() {
            Level::Debug => tracing::debug!(?event),
            Level::Warn => tracing::warn!(?event),
        }
        if let Some(whole) = &self.whole {
            whole.show(&event);
        }
        self.watchers.show(&event);
    }

    pub(crate) fn watch(&self) -> Events {
        let view = Arc::new(View::default());
        self.watchers.lock().push(Arc::clone(&view));
        Events { view }
    }
}

/// All who watch one sink.
#[derive(Debug, Default)]
struct Watchers(Mutex<Vec<Arc<View>>>);

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<View>>> {
        // No code that can panic runs while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, event: &Event) {
        self.lock().retain(|view| {
            // A view that nobody else holds is read by nobody.
            let is_watched = Arc::strong_count(view) > 1;
            if is_watched {
                view.add(event.clone());
            }
            is_watched
        });
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        for view in self.lock().drain(..) {
            view.lock().ended = true;
            view.changed.notify_all();
        }
    }
}

/// What one watcher has not read yet.
#[derive(Debug, Default)]
struct View {
    unread: Mutex<Unread>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Unread {
    events: VecDeque<Event>,
    missed: u64,
    ended: bool,
}

impl View {
    fn lock(&self) -> MutexGuard<'_, Unread> {
        // No code that can panic runs while the lock is held.
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, event: Event) {
        let mut unread = self.lock();
        if unread.events.len() == KEPT {
            unread.events.pop_front();
            unread.missed += 1;
        }
        unread.events.push_back(event);
        self.changed.notify_all();
    }
}

/// What happens, from the moment at which it was asked for.
///
/// As an iterator it waits for the next event, and ends once there will be no more. The last 1024
/// events are kept for a reader. One that is slower misses the oldest; [`missed`](Events::missed)
/// counts them.
#[derive(Debug)]
pub struct Events {
    view: Arc<View>,
}

impl Events {
    /// Waits for the next event, at most so long; nothing if none came, or there will be no more.
    pub fn next_within(&mut self, timeout: Duration) -> Option<Event> {
        let waiting = |unread: &mut Unread| unread.events.is_empty() && !unread.ended;
        let waited = self.view.changed.wait_timeout_while(self.view.lock(), timeout, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.events.pop_front()
    }

    /// How many events were missed so far, because they were not read in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.view.lock().missed
    }
}

impl Iterator for Events {
    type Item = Event;

    /// Waits for the next event; nothing once there will be no more.
    fn next(&mut self) -> Option<Event> {
        self.next_within(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_slow_reader_misses_is_counted() {
        let sink = EventSink::new();
        let mut events = sink.watch();
        for _ in 0..KEPT + 10 {
            sink.emit(Event::NoticeIgnored);
        }
        assert_eq!(events.next(), Some(Event::NoticeIgnored));
        assert_eq!(events.missed(), 10);
    }

    #[test]
    fn what_a_part_does_is_seen_in_the_whole_but_not_the_other_way_round() {
        let whole = EventSink::new();
        let part = whole.part();
        let (of_whole, of_part) = (whole.watch(), part.watch());
        part.emit(Event::NoticeIgnored);
        whole.emit(Event::NoticeIgnored);
        drop((whole, part));
        assert_eq!(of_part.count(), 1);
        assert_eq!(of_whole.count(), 2);
    }

    #[test]
    fn a_watcher_that_is_gone_is_forgotten() {
        let sink = EventSink::new();
        drop(sink.watch());
        sink.emit(Event::NoticeIgnored);
        assert!(sink.watchers.lock().is_empty());
    }

    #[test]
    fn a_wait_for_an_event_has_an_end() {
        let sink = EventSink::new();
        assert_eq!(sink.watch().next_within(Duration::from_millis(1)), None);
    }
}
