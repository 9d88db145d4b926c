//! How time passes in the tests that are written once for all adapters.

#[path = "../../../tests/adapters/real_time.rs"]
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

/// What the future gives within this time.
pub(crate) fn timeout<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    wait(future::timeout(limit, future)).ok()
}

/// Spawns from a handler.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    task::spawn(future);
}

/// Does this after this time, while the test goes on.
pub(crate) fn later(time: Duration, act: impl FnOnce() + Send + 'static) {
    task::spawn(async move {
        task::sleep(time).await;
        act();
    });
}
