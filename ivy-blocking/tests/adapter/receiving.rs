//! How the tests shared by all adapters receive values and events if methods block.

use std::time::Duration;

use async_channel::Receiver;

use crate::adapter::{Ctx, Event, Events, TaskError};
use crate::memory::SOON;
use crate::time::{now, sleep};

/// The poll interval.
const LOOK: Duration = Duration::from_millis(5);

/// The next event, or `None` at the end of the stream. One of the two arrives soon.
pub(crate) fn next_event(events: &mut Events) -> Option<Event> {
    let begun = now();
    let event = events.next_within(SOON);
    assert!(event.is_some() || begun.elapsed() < SOON, "neither an event nor the end arrived");
    event
}

/// A value that arrives soon.
pub(crate) fn recv<T>(receiver: &Receiver<T>) -> T {
    let begun = now();
    loop {
        if let Ok(received) = receiver.try_recv() {
            return received;
        }
        assert!(begun.elapsed() < SOON, "nothing arrived");
        sleep(LOOK);
    }
}

/// A value that arrives in a handler, which checks for its own cancellation.
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

/// The result of a wait in a handler.
macro_rules! awaited {
    ($done:expr) => {
        $done
    };
}
pub(crate) use awaited;
