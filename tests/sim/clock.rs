//! A host's clocks, which differ from the true time.

mod wall;

pub(crate) use wall::HostWallClock;

use std::time::Duration;

use ivy_proto::Moment;

/// A monotonic clock that started with its process, and may run fast or slow, stall and leap.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The true time at which it showed `local`.
    base: Moment,
    local: Moment,
    /// How many thousandths of a true second its second takes.
    speed: u64,
}

const TRUE_SPEED: u64 = 1_000;

impl Clock {
    pub(crate) fn new(started: Moment, speed: u64) -> Self {
        Clock { base: started, local: Moment::EPOCH, speed }
    }

    pub(crate) fn true_clock() -> Self {
        Clock::new(Moment::EPOCH, TRUE_SPEED)
    }

    /// Its time now.
    pub(crate) fn show(&self, now: Moment) -> Moment {
        let passed = now.since(self.base);
        if self.speed == TRUE_SPEED {
            return self.local + passed;
        }
        self.local + Duration::from_nanos(scale(passed, self.speed, TRUE_SPEED))
    }

    /// The first true time at which it shows at least this.
    pub(crate) fn when(&self, shown: Moment) -> Moment {
        let to_pass = shown.since(self.local);
        if self.speed == TRUE_SPEED {
            return self.base + to_pass;
        }
        self.base + Duration::from_nanos(scale(to_pass, TRUE_SPEED, self.speed).saturating_add(1))
    }

    /// Whether it runs, and as fast as true time.
    pub(crate) fn is_true(&self, now: Moment) -> bool {
        self.speed == TRUE_SPEED && self.base <= now
    }

    /// Stops it for this long.
    pub(crate) fn stall(&mut self, now: Moment, time: Duration) {
        self.local = self.show(now);
        self.base = now + time;
    }

    /// Sets it back by this much.
    pub(crate) fn leap_back(&mut self, now: Moment, by: Duration) {
        let shown = self.show(now).since(Moment::EPOCH);
        self.local = Moment::after_epoch(shown.saturating_sub(by));
        self.base = now.max(self.base);
    }

    /// Advances it by this much.
    pub(crate) fn leap(&mut self, now: Moment, by: Duration) {
        self.local = self.show(now) + by;
        self.base = now.max(self.base);
    }
}

fn scale(duration: Duration, by: u64, of: u64) -> u64 {
    u64::try_from(duration.as_nanos() * u128::from(by) / u128::from(of)).unwrap_or(u64::MAX)
}
