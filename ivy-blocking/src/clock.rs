//! The clock that stamps what goes into the machines.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ivy_proto::{Moment, WallClock};

/// A monotonic clock whose moments count from its making, with the wall clock read once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
    wall: WallClock,
}

impl Clock {
    pub(crate) fn start() -> Self {
        // A clock set before 1970 is wrong by so much that zero is as good.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { epoch: Instant::now(), wall: WallClock::new(unix) }
    }

    pub(crate) fn wall(&self) -> WallClock {
        self.wall
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::after_epoch(self.epoch.elapsed())
    }

    /// The instant of a moment, if the system's clock reaches that far.
    pub(crate) fn instant(&self, moment: Moment) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(moment.as_nanos()))
    }
}
