//! How the tests that are written once for all adapters receive, where methods block.

use std::time::Duration;

use async_channel::Receiver;

use crate::adapter::{Ctx, Event, Events, TaskError};
use crate::memory::SOON;
use crate::time::{now, sleep};

/// How often to look whether something came.
const LOOK: Duration = Duration::from_millis(5);

/// The next event, or `None` at the end of the stream. One of the two must come soon.
pub(crate) fn next_event(events: &mut Events) -> Option<Event> {
    let begun = now();
    let event = events.next_within(SOON);
    assert!(event.is_some() || begun.elapsed() < SOON, "an event or the end comes");
    event
}

/// What comes soon.
pub(crate) fn recv<T>(receiver: &Receiver<T>) -> T {
    let begun = now();
    loop {
        if let Ok(received) = receiver.try_recv() {
            return received;
        }
        assert!(begun.elapsed() < SOON, "it comes");
        sleep(LOOK);
    }
}

/// What comes to a handler, which looks by itself whether it is stopped.
pub(crate) fn recv_in_handler<T>(ctx: &Ctx, receiver: &Receiver<T>) -> Result<T, TaskError> {
    loop {
        if let Ok(received) = receiver.try_recv() {
            return Ok(received);
        }
        if ctx.cancelled().cancelled_within(LOOK) {
            return Err(TaskError::new("cancelled"));
        }
    }
}

/// What a handler has waited for.
macro_rules! awaited {
    ($done:expr) => {
        $done
    };
}
pub(crate) use awaited;
