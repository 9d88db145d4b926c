//! A host's wall clock, which may be wrong for some time and is then corrected.

use std::time::Duration;

use ivy_proto::{Moment, Rng, WallClock};

use crate::fault_injection::one_of;
use crate::setup::UNIX_AT_START;

/// A wall clock, and the last reading of it that the process on its host has received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostWallClock {
    wrong: Option<Wrong>,
    known: WallClock,
}

/// A period during which the wall clock is wrong.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    from: Moment,
    to: Moment,
    error: Error,
}

#[derive(Clone, Copy, Debug)]
enum Error {
    Ahead(Duration),
    Behind(Duration),
    /// The clock was never set: it counts from 1970.
    NeverSet,
}

impl HostWallClock {
    /// A correct clock.
    pub(crate) fn correct(started: Moment) -> HostWallClock {
        HostWallClock::of(None, started)
    }

    /// A clock that may be wrong from the start of its process or later, and is corrected within
    /// this many seconds.
    pub(crate) fn possibly_wrong(started: Moment, within: u64, rng: &mut Rng) -> HostWallClock {
        let error = match one_of(rng, &[0, 0, 1, 2, 3, 4]) {
            0 => return HostWallClock::correct(started),
            1 => Error::Ahead(Duration::from_secs(300)),
            2 => Error::Behind(Duration::from_secs(300)),
            3 => Error::Ahead(Duration::from_secs(10 * 365 * 86_400)),
            _ => Error::NeverSet,
        };
        let from = if one_of(rng, &[true, true, false]) { 0 } else { rng.up_to(within) };
        let from = started + Duration::from_secs(from);
        let to = from + Duration::from_secs(1 + rng.up_to(within));
        HostWallClock::of(Some(Wrong { from, to, error }), started)
    }

    fn of(wrong: Option<Wrong>, started: Moment) -> HostWallClock {
        let mut wall = HostWallClock { wrong, known: WallClock::default() };
        wall.known = WallClock::new(wall.show(started));
        wall
    }

    /// What the machine receives at its start.
    pub(crate) fn known(&self) -> WallClock {
        self.known
    }

    /// What the machine must receive when its other clock shows `local`.
    pub(crate) fn follow(&mut self, now: Moment, local: Moment) -> Option<WallClock> {
        let known = self.known.follow(self.show(now), local)?;
        self.known = known;
        Some(known)
    }

    /// Whether it has been correct all the time since `since`.
    pub(crate) fn is_right(&self, since: Moment, now: Moment) -> bool {
        self.wrong.is_none_or(|wrong| wrong.to <= since || now < wrong.from)
    }

    fn show(&self, now: Moment) -> Duration {
        let correct = UNIX_AT_START + now.since(Moment::EPOCH);
        match self.wrong.filter(|wrong| wrong.from <= now && now < wrong.to) {
            None => correct,
            Some(Wrong { error: Error::Ahead(by), .. }) => correct + by,
            Some(Wrong { error: Error::Behind(by), .. }) => correct - by,
            Some(Wrong { error: Error::NeverSet, from, .. }) => now.since(from),
        }
    }
}
