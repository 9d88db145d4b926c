//! When the delayed and the reserved messages become ready by themselves.

use std::collections::{BTreeSet, VecDeque};

use crate::time::Moment;

use super::ascending_set::shrink;
use super::message::Sequence;

/// When a message returns, and which one.
pub(super) type Return = (Moment, Sequence);

/// The moments at which messages return, the earliest first.
///
/// Most moments come in ascending order, since the leases of a queue are mostly equally long, and so
/// they stand in a line. A lease that ends early, or is renewed, would have to be looked for in it.
/// It stays instead until it is first, or until such leases are most of the line. So whoever asks
/// must be able to say whether a message still returns at a moment.
#[derive(Debug, Default)]
pub(super) struct ReturnTimes {
    /// Ascending. The first one still returns; of the others some do no more.
    line: VecDeque<Return>,
    /// Those that came too late for the line.
    others: BTreeSet<Return>,
    /// How many messages return.
    count: usize,
}

/// So many that do not return do not matter.
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

    /// Takes out a return that was taken in, and that `is_current` does not know any more.
    pub(super) fn remove(&mut self, old: Return, is_current: impl Fn(Return) -> bool) {
        self.remove_without_tidying(old);
        self.tidy(is_current);
    }

    /// Takes out a return that was taken in. Of several, each is struck out, and then all are tidied
    /// away.
    pub(super) fn remove_without_tidying(&mut self, old: Return) {
        self.count -= 1;
        if !self.others.is_empty() {
            self.others.remove(&old);
        }
    }

    /// Tidies away what was struck out, which `is_current` does not know any more.
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

    /// The returns, and at which moment each message really returns.
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
        fn the_first_is_the_earliest_that_still_returns(
            steps in vec((0_u64..20, prop::option::of(0_u64..30)), 0..300),
        ) {
            let mut pair = Pair::default();
            for (wanted, at) in steps {
                pair.set(number(wanted), at.map(Moment::from_nanos));
                let first = pair.moments.iter().map(|(sequence, at)| (*at, *sequence)).min();
                prop_assert_eq!(pair.returns.first(), first);
            }
        }
    }

    #[test]
    fn leases_that_were_renewed_take_no_room_for_long() {
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
