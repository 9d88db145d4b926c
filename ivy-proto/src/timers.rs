//! The timers of a machine: at most one per key, the earliest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;

use crate::table::Table;
use crate::time::{Deadline, Moment};

/// Timers by key. A machine's keys are one documented enum of "when to ...".
#[derive(Debug)]
pub(crate) struct Timers<Key: Eq + Hash> {
    /// The earliest on top, which is set as it says. Among the others are some that were stopped or
    /// set to another moment since: most timers are, and none is looked for to be taken out.
    by_moment: BinaryHeap<Reverse<(Moment, Key)>>,
    by_key: Table<Key, Moment>,
}

/// So many timers that were stopped do not matter.
const FEW: usize = 64;

impl<Key: Ord + Hash + Clone> Timers<Key> {
    pub(crate) fn new() -> Self {
        Timers { by_moment: BinaryHeap::new(), by_key: Table::new() }
    }

    /// Sets the timer of `key`, replacing an earlier setting.
    pub(crate) fn set(&mut self, key: Key, at: Moment) {
        let before = self.by_key.insert(key.clone(), at);
        if before != Some(at) {
            self.by_moment.push(Reverse((at, key)));
            self.tidy();
        }
    }

    /// Stops the timer of `key`, if it is set.
    pub(crate) fn stop(&mut self, key: &Key) {
        if self.by_key.remove(key).is_some() {
            self.tidy();
        }
    }

    /// When the timer of `key` is due, if it is set.
    pub(crate) fn at(&self, key: &Key) -> Option<Moment> {
        self.by_key.get(key).copied()
    }

    /// Takes one timer that is due. It is stopped before the caller acts on it, so an action
    /// that fails cannot be due again at once.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<Key> {
        let (at, key) = &self.by_moment.peek()?.0;
        if *at > now {
            return None;
        }
        let key = key.clone();
        self.stop(&key);
        Some(key)
    }

    /// The earliest timer.
    pub(crate) fn next(&self) -> Option<Deadline<Key>> {
        let (at, why) = self.by_moment.peek()?.0.clone();
        Some(Deadline { at, why })
    }

    pub(crate) fn clear(&mut self) {
        self.by_moment.clear();
        self.by_key.clear();
    }

    /// Takes out what was stopped: on top always, and elsewhere before it is most of all.
    fn tidy(&mut self) {
        let by_key = &self.by_key;
        let is_set = |(at, key): &(Moment, Key)| by_key.get(key) == Some(at);
        while self.by_moment.peek().is_some_and(|Reverse(top)| !is_set(top)) {
            self.by_moment.pop();
        }
        if self.by_moment.len() > 2 * by_key.len() + FEW {
            self.by_moment.retain(|Reverse(timer)| is_set(timer));
            self.by_moment.shrink_to(2 * self.by_moment.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_set_again_moves() {
        let mut timers = Timers::new();
        timers.set("touch", Moment::from_nanos(5));
        timers.set("touch", Moment::from_nanos(9));
        assert_eq!(timers.pop_due(Moment::from_nanos(5)), None);
        assert_eq!(timers.pop_due(Moment::from_nanos(9)), Some("touch"));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn timers_that_were_stopped_take_no_room_for_long() {
        let mut timers = Timers::new();
        timers.set(0, Moment::from_nanos(1));
        for key in 1..10_000 {
            timers.set(key, Moment::from_nanos(5));
            timers.stop(&key);
        }
        assert!(timers.by_moment.len() <= FEW + 2);
        assert_eq!(timers.next().map(|deadline| deadline.why), Some(0));
    }

    #[test]
    fn due_timers_come_in_the_order_of_their_moments() {
        let mut timers = Timers::new();
        timers.set("b", Moment::from_nanos(2));
        timers.set("a", Moment::from_nanos(3));
        assert_eq!(timers.pop_due(Moment::FOREVER), Some("b"));
        assert_eq!(timers.pop_due(Moment::FOREVER), Some("a"));
    }
}
