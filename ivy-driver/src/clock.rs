//! The clock whose moments are passed to the machines.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use ivy_proto::{Moment, WallClock};

use crate::runtime::Runtime;

/// A runtime's monotonic clock, counted from its creation, together with the wall clock as of the
/// last comparison.
///
/// If the runtime's time is paused in tests, ivy's is paused with it; the wall clock is not.
pub(crate) struct Clock<R> {
    epoch: Instant,
    wall: WallClock,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Clock<R> {
    pub(crate) fn start() -> Self {
        Clock { epoch: R::now(), wall: WallClock::new(R::unix_time()), runtime: PhantomData }
    }

    pub(crate) fn wall(&self) -> WallClock {
        self.wall
    }

    /// Returns the wall clock if it was set, or the host slept, since the last comparison.
    pub(crate) fn follow_wall(&mut self, now: Moment) -> Option<WallClock> {
        let wall = self.wall.follow(R::unix_time(), now)?;
        self.wall = wall;
        Some(wall)
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::after_epoch(R::now().saturating_duration_since(self.epoch))
    }

    /// The instant of a moment, if the system's clock can represent it.
    pub(crate) fn instant(&self, moment: Moment) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(moment.as_nanos()))
    }

    /// Sleeps until the moment, or indefinitely if there is none.
    pub(crate) async fn sleep_until(self, moment: Option<Moment>) {
        match moment.and_then(|moment| self.instant(moment)) {
            Some(instant) => R::sleep_until(instant).await,
            None => std::future::pending().await,
        }
    }
}

impl<R> Clone for Clock<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Clock<R> {}

impl<R> fmt::Debug for Clock<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("wall", &self.wall).finish_non_exhaustive()
    }
}
