//! The moments at which delayed and reserved messages become ready again.

use std::collections::{BTreeSet, VecDeque};

use crate::time::Moment;

use super::ascending_set::shrink;
use super::message::Sequence;

/// The moment at which a message returns, and the message.
pub(super) type Return = (Moment, Sequence);

/// The moments at which messages return, earliest first.
///
/// Most moments are added in ascending order, because the leases of a queue mostly have the same
/// length, so they are stored in a deque. Removing the entry of a lease that ends early or is
/// renewed would require a search. Instead, stale entries stay until they are first or outnumber
/// the others, so the caller must be able to tell whether an entry is current.
#[derive(Debug, Default)]
pub(super) struct ReturnTimes {
    /// Ascending. The first entry is current; others may be stale.
    line: VecDeque<Return>,
    /// Entries that were added out of order.
    others: BTreeSet<Return>,
    /// The number of messages that return.
    count: usize,
}

/// Stale entries up to this number are kept.
const FEW: usize = 64;

impl ReturnTimes {
    /// The earliest return.
    pub(super) fn first(&self) -> Option<Return> {
        self.line.front().into_iter().chain(self.others.first()).min().copied()
    }

    pub(super) fn insert(&mut self, new: Return) {
        self.count += 1;
        if self.line.back().is_none_or(|last| *last < new) {
            self.line.push_back(new);
        } else {
            self.others.insert(new);
        }
    }

    /// Removes an entry that `is_current` no longer accepts.
    pub(super) fn remove(&mut self, old: Return, is_current: impl Fn(Return) -> bool) {
        self.remove_without_tidying(old);
        self.tidy(is_current);
    }

    /// Removes an entry without tidying, for removing several before one
    /// [`tidy`](ReturnTimes::tidy).
    pub(super) fn remove_without_tidying(&mut self, old: Return) {
        self.count -= 1;
        if !self.others.is_empty() {
            self.others.remove(&old);
        }
    }

    /// Removes stale entries, those that `is_current` no longer accepts.
    pub(super) fn tidy(&mut self, is_current: impl Fn(Return) -> bool) {
        while self.line.front().is_some_and(|first| !is_current(*first)) {
            self.line.pop_front();
        }
        if self.line.len() > 2 * self.count + FEW {
            self.line.retain(|entry| is_current(*entry));
        }
        shrink(&mut self.line);
    }

    pub(super) fn clear(&mut self) {
        *self = ReturnTimes::default();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn number(number: u64) -> Sequence {
        (0..number).fold(Sequence::START, |sequence, _| sequence.next())
    }

    /// The return times, and a map of the actual ones.
    #[derive(Default)]
    struct Pair {
        returns: ReturnTimes,
        moments: BTreeMap<Sequence, Moment>,
    }

    impl Pair {
        fn set(&mut self, sequence: Sequence, at: Option<Moment>) {
            let before = match at {
                Some(at) => self.moments.insert(sequence, at),
                None => self.moments.remove(&sequence),
            };
            let moments = &self.moments;
            if let Some(before) = before {
                let is_current = |(at, sequence)| moments.get(&sequence) == Some(&at);
                self.returns.remove((before, sequence), is_current);
            }
            if let Some(at) = at {
                self.returns.insert((at, sequence));
            }
        }
    }

    proptest! {
        #[test]
        fn the_first_entry_is_the_earliest_current_one(
            steps in vec((0_u64..20, prop::option::of(0_u64..30)), 0..300),
        ) {
            let mut pair = Pair::default();
            for (position, at) in steps {
                pair.set(number(position), at.map(Moment::from_nanos));
                let first = pair.moments.iter().map(|(sequence, at)| (*at, *sequence)).min();
                prop_assert_eq!(pair.returns.first(), first);
            }
        }
    }

    #[test]
    fn renewed_leases_are_removed_from_memory() {
        let mut pair = Pair::default();
        pair.set(number(1), Some(Moment::EPOCH));
        for at in 1..100_000 {
            pair.set(number(2), Some(Moment::from_nanos(at)));
        }
        assert!(pair.returns.line.len() <= FEW + 8, "{}", pair.returns.line.len());
        pair.set(number(1), None);
        pair.set(number(2), None);
        assert_eq!(pair.returns.first(), None);
        assert!(pair.returns.line.is_empty());
    }
}
