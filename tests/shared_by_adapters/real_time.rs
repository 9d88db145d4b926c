//! The waiting times of tests that cannot pause their clock.

use std::time::{Duration, Instant};

/// How long to wait for what must not happen.
pub(crate) const MOMENT: Duration = Duration::from_millis(200);

pub(crate) fn now() -> Instant {
    Instant::now()
}

/// On a busy host it lasts longer.
pub(crate) fn assert_lasted(begun: Instant, time: Duration) {
    assert!(begun.elapsed() >= time);
}
