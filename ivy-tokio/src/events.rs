//! The stream of what happens.

use ivy_proto::event::{Event, Level};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// How many events are kept for those who watch. Who is slower misses the oldest.
const KEPT: usize = 1024;

/// Where a machine's events go: to the log, and to all who watch.
#[derive(Clone, Debug)]
pub(crate) struct EventSink {
    watchers: broadcast::Sender<Event>,
    /// The sink of the whole, if this is that of a part.
    whole: Option<broadcast::Sender<Event>>,
}

impl EventSink {
    pub(crate) fn new() -> Self {
        EventSink { watchers: broadcast::Sender::new(KEPT), whole: None }
    }

    /// A sink for a part: what goes in is seen here and in the whole.
    pub(crate) fn part(&self) -> Self {
        EventSink { watchers: broadcast::Sender::new(KEPT), whole: Some(self.watchers.clone()) }
    }

    pub(crate) fn emit(&self, event: Event) {
        match event.level() {
            Level::Debug => tracing::debug!(?event),
            Level::Warn => tracing::warn!(?event),
        }
        // An error only says that nobody watches.
        if let Some(whole) = &self.whole {
            let _ = whole.send(event.clone());
        }
        let _ = self.watchers.send(event);
    }

    pub(crate) fn watch(&self) -> Events {
        Events { receiver: self.watchers.subscribe(), missed: 0 }
    }
}

/// What happens, from the moment at which it was asked for.
///
/// The last 1024 events are kept for a reader. One that is slower misses the oldest;
/// [`missed`](Events::missed) counts them.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
    missed: u64,
}

impl Events {
    /// Waits for the next event; nothing once there will be no more.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(RecvError::Lagged(count)) => self.missed += count,
                Err(RecvError::Closed) => return None,
            }
        }
    }

    /// How many events were missed so far, because they were not read in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_slow_reader_misses_is_counted() {
        let sink = EventSink::new();
        let mut events = sink.watch();
        for _ in 0..KEPT + 10 {
            sink.emit(Event::NoticeIgnored);
        }
        assert_eq!(events.next().await, Some(Event::NoticeIgnored));
        assert_eq!(events.missed(), 10);
    }

    #[tokio::test]
    async fn what_a_part_does_is_seen_in_the_whole_but_not_the_other_way_round() {
        let whole = EventSink::new();
        let part = whole.part();
        let (mut of_whole, mut of_part) = (whole.watch(), part.watch());
        part.emit(Event::NoticeIgnored);
        whole.emit(Event::NoticeIgnored);
        drop((whole, part));
        assert!(of_part.next().await.is_some());
        assert!(of_part.next().await.is_none());
        assert!(of_whole.next().await.is_some());
        assert!(of_whole.next().await.is_some());
        assert!(of_whole.next().await.is_none());
    }
}
