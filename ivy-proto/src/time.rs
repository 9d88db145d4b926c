//! Time as an argument: moments on a clock that the driver owns.

use std::fmt;
use std::ops::Add;
use std::time::Duration;

/// A point in time: nanoseconds since an epoch that the driver chooses, usually its own start.
///
/// The core never reads a clock. A driver stamps each input with a moment of a monotonic clock, a
/// simulator with a moment of virtual time.
///
/// ```
/// use ivy_proto::Moment;
/// use std::time::Duration;
///
/// let start = Moment::EPOCH;
/// let later = start + Duration::from_secs(5);
/// assert_eq!(later.since(start), Duration::from_secs(5));
/// assert_eq!(start.since(later), Duration::ZERO);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The epoch of the driver's clock.
    pub const EPOCH: Moment = Moment(0);
    /// The end of the clock, about 584 years after its epoch. Sums saturate here.
    pub const FOREVER: Moment = Moment(u64::MAX);

    /// The moment `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Moment(nanos)
    }

    /// The moment `after` the epoch.
    #[must_use]
    pub fn after_epoch(after: Duration) -> Self {
        Moment::EPOCH + after
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The whole microseconds since `earlier`; zero if `earlier` is later.
    pub(crate) const fn micros_since(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0) / 1000
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, duration: Duration) -> Moment {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Moment(self.0.saturating_add(nanos))
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "+{:?}", Duration::from_nanos(self.0))
    }
}

/// The wall clock, derived from moments: its time at the epoch, plus the time since.
///
/// Only timestamps in messages (deadlines, dead-letter times) are wall-clock times. A machine's
/// timers are [`Moment`]s, so a wall clock that jumps affects no timer except the ends of leases:
/// see [`worker::Input::Clock`](crate::worker::Input::Clock).
///
/// The system's clock may be set, and moments may stand still while the host sleeps. A driver
/// therefore compares the two whenever it wakes, and feeds a new `WallClock` if they have diverged:
/// see [`WallClock::follow`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    unix_at_epoch: Duration,
}

impl WallClock {
    /// A wall clock that showed `unix_at_epoch` (time since 1970-01-01T00:00:00Z) at
    /// [`Moment::EPOCH`].
    #[must_use]
    pub const fn new(unix_at_epoch: Duration) -> Self {
        WallClock { unix_at_epoch }
    }

    /// A corrected clock, if the clock was set or moments stood still: if the system's clock shows
    /// `unix` (time since 1970-01-01T00:00:00Z) at `moment`, and this clock is more than 100 ms
    /// off.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ivy_proto::{Moment, WallClock};
    ///
    /// let started = WallClock::new(Duration::from_secs(1_700_000_000));
    /// let moment = Moment::after_epoch(Duration::from_secs(60));
    /// let unix = Duration::from_secs(1_700_000_060);
    /// assert_eq!(started.follow(unix, moment), None);
    ///
    /// let set_forward = started.follow(unix + Duration::from_secs(3600), moment).unwrap();
    /// assert_eq!(set_forward.unix_millis(moment), 1_700_003_660_000);
    /// ```
    #[must_use]
    pub fn follow(&self, unix: Duration, moment: Moment) -> Option<WallClock> {
        let now = WallClock::showing(unix, moment);
        let apart = now.unix_at_epoch.abs_diff(self.unix_at_epoch);
        (apart > CLOCKS_APART).then_some(now)
    }

    /// A clock that shows `unix` (time since 1970-01-01T00:00:00Z) at `moment`.
    pub(crate) fn showing(unix: Duration, moment: Moment) -> WallClock {
        // A clock that shows less than the time since the epoch of the moments is wrong anyway.
        WallClock::new(unix.saturating_sub(moment.since(Moment::EPOCH)))
    }

    /// How far this clock is ahead of another one; zero if it is behind.
    #[must_use]
    pub fn ahead_of(&self, other: WallClock) -> Duration {
        self.unix_at_epoch.saturating_sub(other.unix_at_epoch)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z at `moment`.
    #[must_use]
    pub fn unix_millis(&self, moment: Moment) -> u64 {
        let whole_seconds = self.unix_at_epoch.as_secs().saturating_mul(1000);
        let nanos = u64::from(self.unix_at_epoch.subsec_nanos()).saturating_add(moment.as_nanos());
        whole_seconds.saturating_add(nanos / 1_000_000)
    }

    /// Whether the time at `moment` is plausible: in a year from 2020 to 2099. A clock that was
    /// never set shows another one.
    #[must_use]
    pub fn is_plausible(&self, moment: Moment) -> bool {
        self.plausible_unix_millis(moment).is_some()
    }

    /// Milliseconds since 1970-01-01T00:00:00Z at `moment`, if that is
    /// [plausible](WallClock::is_plausible).
    pub(crate) fn plausible_unix_millis(&self, moment: Moment) -> Option<u64> {
        const YEAR_2020: u64 = 1_577_836_800_000;
        const YEAR_2100: u64 = 4_102_444_800_000;
        let millis = self.unix_millis(moment);
        (YEAR_2020..YEAR_2100).contains(&millis).then_some(millis)
    }
}

/// How far the wall clock and the moments may diverge before the clock is corrected.
const CLOCKS_APART: Duration = Duration::from_millis(100);

/// When a machine needs its next call, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline<Timer> {
    /// The moment at which [`Tick`](crate::worker::Input::Tick) is due.
    pub at: Moment,
    /// What is due then.
    pub why: Timer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_stop_at_the_end_of_the_clock() {
        assert_eq!(Moment::FOREVER + Duration::from_nanos(1), Moment::FOREVER);
        assert_eq!(Moment::from_nanos(1) + Duration::MAX, Moment::FOREVER);
    }

    #[test]
    fn the_wall_clock_advances_with_the_moments() {
        let clock = WallClock::new(Duration::from_secs(1_000));
        let moment = Moment::after_epoch(Duration::from_millis(1_500));
        assert_eq!(clock.unix_millis(moment), 1_001_500);
    }

    #[test]
    fn drift_is_ignored_and_a_set_clock_is_followed() {
        let clock = WallClock::new(Duration::from_secs(1_000));
        let moment = Moment::after_epoch(Duration::from_secs(10));
        let shown = |millis| clock.follow(Duration::from_millis(millis), moment);
        assert_eq!(shown(1_010_100), None);
        assert_eq!(shown(1_009_900), None);
        for millis in [1_010_101, 1_009_899, 5_000_000, 20_000] {
            assert_eq!(shown(millis).unwrap().unix_millis(moment), millis);
        }
        let forward = shown(1_011_000).unwrap();
        assert_eq!(forward.ahead_of(clock), Duration::from_secs(1));
        assert_eq!(clock.ahead_of(forward), Duration::ZERO);
    }

    #[test]
    fn a_clock_set_to_before_its_epoch_is_followed_once() {
        let clock = WallClock::new(Duration::from_secs(1_000));
        let moment = Moment::after_epoch(Duration::from_secs(10));
        let set = clock.follow(Duration::from_secs(5), moment).unwrap();
        assert!(!set.is_plausible(moment));
        assert_eq!(set.follow(Duration::from_secs(5), moment), None);
    }

    #[test]
    fn only_years_from_2020_to_2099_are_plausible() {
        let plausible =
            |unix| WallClock::new(Duration::from_secs(unix)).is_plausible(Moment::EPOCH);
        assert!(!plausible(0) && !plausible(1_577_836_799) && plausible(1_577_836_800));
        assert!(plausible(4_102_444_799) && !plausible(4_102_444_800));
        let almost = WallClock::new(Duration::from_secs(4_102_444_799));
        assert!(!almost.is_plausible(Moment::after_epoch(Duration::from_secs(1))));
    }
}
