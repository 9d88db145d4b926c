//! How the tests that all adapters share receive events, for adapters whose methods are futures.

use async_channel::Receiver;

use crate::adapter::{Ctx, Event, Events, TaskError};
use crate::memory::SOON;
use crate::time::timeout;

/// The next event, or `None` at the end of the stream. One of the two must come soon.
pub(crate) fn next_event(events: &mut Events) -> Option<Event> {
    timeout(SOON, events.next()).expect("an event or the end comes")
}

/// The next value, which must come soon.
pub(crate) fn recv<T>(receiver: &Receiver<T>) -> T {
    timeout(SOON, receiver.recv()).expect("it comes").unwrap()
}

/// The next value, received in a handler, whose future is dropped if it is cancelled.
pub(crate) async fn recv_in_handler<T>(_: &Ctx, receiver: &Receiver<T>) -> Result<T, TaskError> {
    receiver.recv().await.map_err(|error| TaskError::from_error(&error))
}

/// The output of a future that a handler awaits.
macro_rules! awaited {
    ($future:expr) => {
        $future.await
    };
}
pub(crate) use awaited;
