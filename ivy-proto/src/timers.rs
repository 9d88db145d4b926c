//! The timers of a machine: at most one per key, earliest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::hash::Hash;

use crate::hash_map::SortedHashMap;
use crate::time::{Deadline, Moment};

/// Timers by key. The keys of a machine are one documented enum.
#[derive(Debug)]
pub(crate) struct Timers<Key: Eq + Hash> {
    agenda: Deadlines<Key>,
    by_key: SortedHashMap<Key, Moment>,
}

impl<Key: Ord + Hash + Clone> Timers<Key> {
    pub(crate) fn new() -> Self {
        Timers { agenda: Deadlines::default(), by_key: SortedHashMap::new() }
    }

    /// Sets the timer of `key`, replacing an earlier setting.
    pub(crate) fn set(&mut self, key: Key, at: Moment) {
        let before = self.by_key.insert(key.clone(), at);
        if before != Some(at) {
            self.agenda.add(at, key.clone());
            self.tidy(&key);
        }
    }

    /// Stops the timer of `key`, if it is set.
    pub(crate) fn stop(&mut self, key: &Key) {
        if self.by_key.remove(key).is_some() {
            self.tidy(key);
        }
    }

    /// When the timer of `key` is due, if it is set.
    pub(crate) fn at(&self, key: &Key) -> Option<Moment> {
        self.by_key.get(key).copied()
    }

    /// Removes and returns one timer that is due. It is removed before the caller acts on it, so an
    /// action that fails cannot be due again immediately.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<Key> {
        self.pop_due_with_time(now).map(|(_, key)| key)
    }

    /// The same, with the time at which it was due.
    pub(crate) fn pop_due_with_time(&mut self, now: Moment) -> Option<(Moment, Key)> {
        let (at, key) = self.agenda.first()?;
        if *at > now {
            return None;
        }
        let (at, key) = (*at, key.clone());
        self.stop(&key);
        Some((at, key))
    }

    pub(crate) fn first_moment(&self) -> Option<Moment> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// The earliest timer.
    pub(crate) fn next(&self) -> Option<Deadline<Key>> {
        let (at, why) = self.agenda.first()?.clone();
        Some(Deadline { at, why })
    }

    pub(crate) fn clear(&mut self) {
        self.agenda.clear();
        self.by_key.clear();
    }

    fn tidy(&mut self, changed: &Key) {
        let by_key = &self.by_key;
        self.agenda.tidy(changed, by_key.len(), |key| by_key.get(key).copied());
    }
}

/// A priority queue of keys by due time. Entries may be stale; the owner's map decides.
#[derive(Debug)]
pub(crate) struct Deadlines<Key> {
    /// The entry on top is current. Others may be stale, because the heap cannot remove an entry by
    /// its key.
    heap: BinaryHeap<Reverse<(Moment, Key)>>,
}

/// Stale entries up to this number are kept.
const FEW: usize = 1024;

impl<Key: Ord> Deadlines<Key> {
    /// Adds a key that is due at `at`. Call [`Deadlines::tidy`] afterwards.
    pub(crate) fn add(&mut self, at: Moment, key: Key) {
        self.heap.push(Reverse((at, key)));
    }

    /// The earliest entry.
    pub(crate) fn first(&self) -> Option<&(Moment, Key)> {
        self.heap.peek().map(|Reverse(first)| first)
    }

    pub(crate) fn clear(&mut self) {
        self.heap.clear();
    }

    /// Removes stale entries: always from the top, and everywhere once they are the majority.
    /// `count` is the number of current keys, and `due` returns when a key is due.
    pub(crate) fn tidy(
        &mut self,
        changed: &Key,
        count: usize,
        due: impl Fn(&Key) -> Option<Moment>,
    ) {
        let is_due = |(at, key): &(Moment, Key)| due(key) == Some(*at);
        if self.first().is_some_and(|(_, key)| key == changed) {
            while self.first().is_some_and(|first| !is_due(first)) {
                self.heap.pop();
            }
        }
        if self.heap.len() > 3 * count + FEW {
            self.heap.retain(|Reverse(one)| is_due(one));
            self.heap.shrink_to(3 * self.heap.len() + FEW);
        }
    }
}

impl<Key: Ord> Default for Deadlines<Key> {
    fn default() -> Self {
        Deadlines { heap: BinaryHeap::new() }
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
    fn stopped_timers_are_removed_from_memory() {
        let mut timers = Timers::new();
        timers.set(0, Moment::from_nanos(1));
        for key in 1..10_000 {
            timers.set(key, Moment::from_nanos(5));
            timers.stop(&key);
        }
        assert!(timers.agenda.heap.len() <= FEW + 3);
        assert_eq!(timers.next().map(|deadline| deadline.why), Some(0));
    }

    #[test]
    fn due_timers_are_returned_in_order() {
        let mut timers = Timers::new();
        timers.set("b", Moment::from_nanos(2));
        timers.set("a", Moment::from_nanos(3));
        assert_eq!(timers.pop_due(Moment::FOREVER), Some("b"));
        assert_eq!(timers.pop_due(Moment::FOREVER), Some("a"));
    }
}
