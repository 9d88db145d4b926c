//! So many messages that are not understood in a short time that they must not come back soon.
//!
//! Each of them costs a place in an answer and a request to give it back, each time that it comes.
//! Whoever posts them may change reasons, names and ids with each one, so all of them count alike;
//! messages that were handled count against them.

use std::time::Duration;

use crate::time::Moment;

use super::MANY;

/// How long one count lasts.
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Flood {
    since: Moment,
    /// How many more were not understood than were handled.
    unhandled: usize,
}

impl Flood {
    /// One more was not understood. Says whether there are too many.
    pub(super) fn record(&mut self, now: Moment) -> bool {
        if now.since(self.since) >= WINDOW {
            (self.since, self.unhandled) = (now, 0);
        }
        self.unhandled += 1;
        self.unhandled > MANY
    }

    /// One was handled.
    pub(super) fn record_handled(&mut self) {
        self.unhandled = self.unhandled.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_twenty_in_a_minute_are_too_many() {
        let (mut flood, now) = (Flood::default(), Moment::EPOCH);
        assert!((0..20).all(|_| !flood.record(now)));
        assert!(flood.record(now));
        assert!(!flood.record(now + WINDOW), "another minute, another count");
    }

    #[test]
    fn a_few_beside_much_that_is_handled_are_none() {
        let (mut flood, now) = (Flood::default(), Moment::EPOCH);
        for _ in 0..1_000 {
            assert!(!flood.record(now));
            flood.record_handled();
        }
    }

    #[test]
    fn one_that_is_handled_now_and_then_does_not_hide_them() {
        let (mut flood, now) = (Flood::default(), Moment::EPOCH);
        let mut told = false;
        for number in 0..60 {
            told |= flood.record(now);
            if number % 19 == 18 {
                flood.record_handled();
            }
        }
        assert!(told);
    }
}
