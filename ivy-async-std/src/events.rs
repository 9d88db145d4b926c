//! The stream of what happens.

use async_broadcast::{InactiveReceiver, Receiver, RecvError, Sender};
use ivy_proto::event::{Event, Level};

/// How many events are kept for those who watch. Who is slower misses the oldest.
const KEPT: usize = 1024;

/// Where a machine's events go: to the log, and to all who watch.
#[derive(Clone, Debug)]
pub(crate) struct EventSink {
    watchers: Sender<Event>,
    /// Keeps the channel open while nobody watches.
    _nobody: InactiveReceiver<Event>,
    /// The sink of the whole, if this is that of a part.
    whole: Option<Sender<Event>>,
}

impl EventSink {
    pub(crate) fn new() -> Self {
        let (mut watchers, receiver) = async_broadcast::broadcast(KEPT);
        watchers.set_overflow(true);
        EventSink { watchers, _nobody: receiver.deactivate(), whole: None }
    }

    /// A sink for a part: what goes in is seen here and in the whole.
    pub(crate) fn part(&self) -> Self {
        EventSink { whole: Some(self.watchers.clone()), ..EventSink::new() }
    }

    pub(crate) fn emit(&self, event: Event) {
        match event.level() {
            Level::Debug => tracing::debug!(?event),
            Level::Warn => tracing::warn!(?event),
        }
        // An error only says that nobody watches.
        if let Some(whole) = &self.whole {
            let _ = whole.try_broadcast(event.clone());
        }
        let _ = self.watchers.try_broadcast(event);
    }

    pub(crate) fn watch(&self) -> Events {
        Events { receiver: self.watchers.new_receiver(), missed: 0 }
    }
}

/// What happens, from the moment at which it was asked for.
///
/// The last 1024 events are kept for a reader. One that is slower misses the oldest;
/// [`missed`](Events::missed) counts them.
#[derive(Debug)]
pub struct Events {
    receiver: Receiver<Event>,
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
                Err(RecvError::Overflowed(count)) => self.missed += count,
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

    #[async_std::test]
    async fn what_a_slow_reader_misses_is_counted() {
        let sink = EventSink::new();
        let mut events = sink.watch();
        for _ in 0..KEPT + 10 {
            sink.emit(Event::NoticeIgnored);
        }
        assert_eq!(events.next().await, Some(Event::NoticeIgnored));
        assert_eq!(events.missed(), 10);
    }

    #[async_std::test]
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
