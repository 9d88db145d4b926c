//! Time in the tests shared by all adapters.

#[path = "../../../tests/shared_by_adapters/real_time.rs"]
mod real_time;

use std::thread;
pub(crate) use std::thread::sleep;
use std::time::Duration;

pub(crate) use self::real_time::{MOMENT, assert_lasted, now};

/// Runs `act` after this time, concurrently with the test.
pub(crate) fn later(time: Duration, act: impl FnOnce() + Send + 'static) {
    thread::spawn(move || {
        sleep(time);
        act();
    });
}
