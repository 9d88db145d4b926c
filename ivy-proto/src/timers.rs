//! The timers of a machine: at most one per key, the earliest first.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::{Deadline, Moment};

/// Timers by key. A machine's keys are one documented enum of "when to ...".
#[derive(Debug)]
pub(crate) struct Timers<Key> {
    by_moment: BTreeSet<(Moment, Key)>,
    by_key: BTreeMap<Key, Moment>,
}

impl<Key: Ord + Clone> Timers<Key> {
    pub(crate) fn new() -> Self {
        Timers { by_moment: BTreeSet::new(), by_key: BTreeMap::new() }
    }

    /// Sets the timer of `key`, replacing an earlier setting.
    pub(crate) fn set(&mut self, key: Key, at: Moment) {
        self.stop(&key);
        self.by_moment.insert((at, key.clone()));
        self.by_key.insert(key, at);
    }

    /// Stops the timer of `key`, if it is set.
    pub(crate) fn stop(&mut self, key: &Key) {
        if let Some(at) = self.by_key.remove(key) {
            self.by_moment.remove(&(at, key.clone()));
        }
    }

    /// When the timer of `key` is due, if it is set.
    pub(crate) fn at(&self, key: &Key) -> Option<Moment> {
        self.by_key.get(key).copied()
    }

    /// Takes one timer that is due. It is stopped before the caller acts on it, so an action
    /// that fails cannot be due again at once.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<Key> {
        let (at, key) = self.by_moment.first()?.clone();
        if at > now {
            return None;
        }
        self.stop(&key);
        Some(key)
    }

    /// The earliest timer.
    pub(crate) fn next(&self) -> Option<Deadline<Key>> {
        let (at, why) = self.by_moment.first()?.clone();
        Some(Deadline { at, why })
    }

    pub(crate) fn clear(&mut self) {
        self.by_moment.clear();
        self.by_key.clear();
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
    fn due_timers_come_in_the_order_of_their_moments() {
        let mut timers = Timers::new();
        timers.set("b", Moment::from_nanos(2));
        timers.set("a", Moment::from_nanos(3));
        assert_eq!(timers.pop_due(Moment::FOREVER), Some("b"));
        assert_eq!(timers.pop_due(Moment::FOREVER), Some("a"));
    }
}
