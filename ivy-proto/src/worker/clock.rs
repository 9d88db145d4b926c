//! Follows the wall clock when it is set or the host has slept.

use std::time::Duration;

use crate::event::Event;
use crate::id::JobId;
use crate::planted::{Bug, planted};
use crate::time::WallClock;

use super::Worker;
use super::io::Timer;

impl Worker {
    pub(super) fn set_clock(&mut self, wall: WallClock) {
        if planted(Bug::IgnoreClock) {
            return;
        }
        // Moments may have stood still while the host slept, so it no longer says anything.
        self.server_clock = None;
        let before = std::mem::replace(&mut self.fx.wall, wall);
        let was_plausible = before.is_plausible(self.fx.now);
        if was_plausible && !self.fx.wall_is_plausible() {
            self.fx.event(Event::ClockImplausible);
        }
        let (forward, back) = (wall.ahead_of(before), before.ahead_of(wall));
        self.fx.event(Event::ClockSet { forward: !forward.is_zero(), by: forward.max(back) });
        for job in self.jobs.sorted_keys() {
            self.follow_clock(job, forward);
        }
    }

    /// Moves the end of a lease as the new clock requires, and its renewal forward as far as the
    /// clock.
    fn follow_clock(&mut self, job: JobId, forward: Duration) {
        let Some(held) = self.jobs.get(&job) else { return };
        self.fx.timers.set(Timer::LeaseEnds(job), held.lease.until(self.fx.wall));
        let touch = Timer::Touch(job);
        if let Some(at) = self.fx.timers.at(&touch) {
            let left = at.since(self.fx.now).saturating_sub(forward);
            self.fx.set_timer(touch, left);
        }
    }
}
