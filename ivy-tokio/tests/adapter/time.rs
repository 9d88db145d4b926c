//! Time in the tests shared by all adapters: virtual, it advances when there is nothing else to do.

use std::future::Future;
use std::time::Duration;

pub(crate) use tokio::task::yield_now;
use tokio::time::Instant;

use crate::adapter::wait;

/// How long to wait for something that must not happen: longer than a poll.
pub(crate) const MOMENT: Duration = Duration::from_secs(50);

pub(crate) fn now() -> Instant {
    wait(async { Instant::now() })
}

/// Asserts that exactly this time has passed.
pub(crate) fn assert_lasted(begun: Instant, time: Duration) {
    assert_eq!((now() - begun).as_secs(), time.as_secs());
}

pub(crate) fn sleep(time: Duration) {
    wait(async { tokio::time::sleep(time).await });
}

/// The future's output, or `None` if it takes longer than this.
pub(crate) fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    wait(async { tokio::time::timeout(limit, future).await.ok() })
}

/// Spawns from a handler.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(future);
}

/// Runs `act` after this time, concurrently with the test.
pub(crate) fn later(time: Duration, act: impl FnOnce() + Send + 'static) {
    wait(async {
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            act();
        });
    });
}
