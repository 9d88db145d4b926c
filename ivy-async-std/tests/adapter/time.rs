//! Time in the tests shared by all adapters.

#[path = "../../../tests/shared_by_adapters/real_time.rs"]
mod real_time;

use std::future::Future;
use std::time::Duration;

pub(crate) use async_std::task::yield_now;
use async_std::{future, task};

pub(crate) use self::real_time::{MOMENT, assert_lasted, now};
use crate::adapter::wait;

pub(crate) fn sleep(time: Duration) {
    wait(task::sleep(time));
}

/// The future's output, or `None` if it takes longer than this.
pub(crate) fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    wait(future::timeout(limit, future)).ok()
}

/// Spawns from a handler.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    task::spawn(future);
}

/// Runs `act` after this time, concurrently with the test.
pub(crate) fn later(time: Duration, act: impl FnOnce() + Send + 'static) {
    task::spawn(async move {
        task::sleep(time).await;
        act();
    });
}
