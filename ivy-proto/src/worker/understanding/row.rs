//! Messages in a row that this worker's keys, policy, clock or formats do not let it handle.
//!
//! After many of them the queue rests: a worker that lacks a key would otherwise empty the queue into
//! the dead-letter queue, or keep its messages from workers that have the key. While something of the
//! queue is understood, the worker lacks nothing, and the queue does not rest.

use std::collections::BTreeSet;

use crate::id::MessageId;

use super::{Consequence, MANY, REST};

/// The most messages that are counted.
const MOST: usize = 10_240;

#[derive(Debug)]
pub(super) struct Row {
    /// Each counts once, however often it is delivered.
    messages: BTreeSet<MessageId>,
    /// How many of them make the queue rest: after each rest that changed nothing twice as many, so
    /// that what lies behind them is reached in the end.
    limit: usize,
    degraded: bool,
}

impl Default for Row {
    fn default() -> Self {
        Row { messages: BTreeSet::new(), limit: MANY, degraded: false }
    }
}

impl Row {
    /// One more. `understood_lately` tells whether something of the queue was understood meanwhile.
    pub(super) fn one_more(&mut self, message: &MessageId, understood_lately: bool) -> Consequence {
        if self.messages.len() < self.limit {
            self.messages.insert(message.clone());
        }
        let full = self.messages.len() >= self.limit;
        let mut consequence = Consequence::default();
        if full && !understood_lately {
            self.messages.clear();
            self.limit = (self.limit * 2).min(MOST);
            consequence.rest = Some(REST);
            // Degraded again after its rest: rests again, without another line in the log.
            consequence.degraded = !std::mem::replace(&mut self.degraded, true);
        }
        consequence.longest_delay = full || self.degraded;
        consequence.kept = self.degraded;
        consequence
    }

    /// A message was understood. Says whether the queue was degraded.
    pub(super) fn end(&mut self) -> bool {
        self.messages.clear();
        self.limit = MANY;
        std::mem::take(&mut self.degraded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(row: &mut Row, numbers: std::ops::Range<u32>, understood_lately: bool) -> Consequence {
        let mut last = Consequence::default();
        for number in numbers {
            last = row.one_more(&MessageId::new(number.to_string()), understood_lately);
        }
        last
    }

    #[test]
    fn twenty_in_a_row_make_the_queue_rest_and_keep_what_it_has() {
        let mut row = Row::default();
        assert_eq!(add(&mut row, 0..19, false), Consequence::default());
        let last = add(&mut row, 19..20, false);
        assert_eq!((last.rest, last.degraded, last.kept), (Some(REST), true, true));
        assert!(last.longest_delay);
        assert!(row.end(), "it was degraded");
        assert!(!row.end());
    }

    #[test]
    fn after_a_rest_that_changed_nothing_it_takes_twice_as_many() {
        let mut row = Row::default();
        add(&mut row, 0..20, false);
        let last = add(&mut row, 20..59, false);
        assert_eq!((last.rest, last.kept), (None, true));
        let last = add(&mut row, 59..60, false);
        assert_eq!((last.rest, last.degraded), (Some(REST), false), "told once");
    }

    #[test]
    fn while_something_is_understood_the_queue_goes_on_and_the_rest_stays_away_for_long() {
        let mut row = Row::default();
        let last = add(&mut row, 0..100, true);
        let longest = Consequence { longest_delay: true, ..Consequence::default() };
        assert_eq!(last, longest);
        assert!(!row.end());
        assert_eq!(add(&mut row, 0..19, true), Consequence::default());
    }

    #[test]
    fn one_message_counts_once_however_often_it_comes() {
        let mut row = Row::default();
        for _ in 0..50 {
            assert_eq!(add(&mut row, 7..8, false), Consequence::default());
        }
    }
}
