//! The clock that stamps what goes into the machines.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use ivy_proto::{Moment, WallClock};

use crate::runtime::Runtime;

/// A runtime's monotonic clock, whose moments count from its making, with the wall clock as it was
/// when it was last compared.
///
/// Where the runtime's time can be paused for tests, ivy's is paused with it, and the wall clock is
/// not.
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

    /// The wall clock, if it was set since it was last compared, or the machine slept.
    pub(crate) fn follow_wall(&mut self, now: Moment) -> Option<WallClock> {
        let wall = self.wall.follow(R::unix_time(), now)?;
        self.wall = wall;
        Some(wall)
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::after_epoch(R::now().saturating_duration_since(self.epoch))
    }

    /// The instant of a moment, if the system's clock reaches that far.
    pub(crate) fn instant(&self, moment: Moment) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(moment.as_nanos()))
    }

    /// Sleeps until the moment; for ever if there is none.
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
