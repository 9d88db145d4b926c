//! Detects many unprocessable messages within a short time, so that each is delayed for longest.
//!
//! Each such message costs a place in a reply and a release at every delivery. Their sender may
//! vary reasons, names and ids, so all of them count alike; messages that were handled are
//! subtracted.

use std::time::Duration;

use crate::time::Moment;

use super::MANY;

const WINDOW: Duration = Duration::from_secs(60);
/// More than this many within the window are a long flood.
const LONG: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Flood {
    since: Moment,
    /// The number of unprocessable messages minus the number of handled ones.
    unhandled: usize,
}

impl Flood {
    /// Counts an unprocessable message. Returns whether there are too many.
    pub(super) fn record(&mut self, now: Moment) -> bool {
        if now.since(self.since) >= WINDOW {
            (self.since, self.unhandled) = (now, 0);
        }
        self.unhandled += 1;
        self.unhandled > MANY
    }

    /// Whether so many were recorded lately that a message behind them is reached only with haste.
    pub(super) fn is_long(&self) -> bool {
        self.unhandled > LONG
    }

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
        assert!(!flood.record(now + WINDOW), "a new window starts a new count");
    }

    #[test]
    fn a_few_among_many_handled_messages_are_not_a_flood() {
        let (mut flood, now) = (Flood::default(), Moment::EPOCH);
        for _ in 0..1_000 {
            assert!(!flood.record(now));
            flood.record_handled();
        }
    }

    #[test]
    fn an_occasional_handled_message_does_not_hide_a_flood() {
        let (mut flood, now) = (Flood::default(), Moment::EPOCH);
        let mut flooded = false;
        for number in 0..60 {
            flooded |= flood.record(now);
            if number % 19 == 18 {
                flood.record_handled();
            }
        }
        assert!(flooded);
    }
}
