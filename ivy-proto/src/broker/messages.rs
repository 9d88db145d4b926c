//! The messages of one queue, indexed by number and by expiry.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::time::Moment;

use super::ascending_set::shrink;
use super::message::{Sequence, Stored};

/// The messages of one queue.
///
/// Messages mostly arrive in the order of their numbers and expiries, and mostly leave in that
/// order. They are stored in a deque, in which a message is found by its number without a search,
/// and the first message expires next.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// Sorted by number, and also by expiry. The first and the last slot are never gaps.
    line: VecDeque<Slot>,
    /// The number of gaps inside of the line.
    gaps: usize,
    /// Messages with a smaller number or an earlier expiry than an earlier message.
    others: BTreeMap<Sequence, Stored>,
    /// The expiries of `others`.
    expiries: BTreeSet<(Moment, Sequence)>,
}

#[derive(Debug)]
struct Slot {
    sequence: Sequence,
    /// `None` is a gap, left by a removed message.
    stored: Option<Stored>,
}

/// The location of a message. Valid until a message is inserted or the line is tidied.
#[derive(Clone, Copy, Debug)]
pub(super) enum Location {
    Line(usize),
    Other(Sequence),
}

impl Messages {
    pub(super) fn len(&self) -> usize {
        self.line.len() - self.gaps + self.others.len()
    }

    pub(super) fn get(&self, sequence: Sequence) -> Option<&Stored> {
        match self.place(sequence) {
            Some(place) => self.line.get(place)?.stored.as_ref(),
            None => self.others.get(&sequence),
        }
    }

    pub(super) fn get_mut(&mut self, sequence: Sequence) -> Option<&mut Stored> {
        match self.place(sequence) {
            Some(place) => self.line.get_mut(place)?.stored.as_mut(),
            None => self.others.get_mut(&sequence),
        }
    }

    /// Inserts a message whose number is not present.
    pub(super) fn insert(&mut self, sequence: Sequence, stored: Stored) {
        let is_next = self.line.back().is_none_or(|last| {
            let expires = last.stored.as_ref().map(|last| last.expires);
            last.sequence < sequence && expires <= Some(stored.expires)
        });
        if is_next {
            self.line.push_back(Slot { sequence, stored: Some(stored) });
        } else {
            self.expiries.insert((stored.expires, sequence));
            self.others.insert(sequence, stored);
        }
    }

    pub(super) fn remove(&mut self, sequence: Sequence) -> Option<Stored> {
        let (place, _) = self.find(sequence)?;
        let (_, stored) = self.take(place)?;
        self.tidy();
        Some(stored)
    }

    /// A message and its location.
    pub(super) fn find(&self, sequence: Sequence) -> Option<(Location, &Stored)> {
        match self.place(sequence) {
            Some(place) => Some((Location::Line(place), self.line.get(place)?.stored.as_ref()?)),
            None => Some((Location::Other(sequence), self.others.get(&sequence)?)),
        }
    }

    /// Removes the message at a location, if it is still there. To remove several, call this for
    /// each and then [`tidy`](Messages::tidy).
    pub(super) fn take(&mut self, place: Location) -> Option<(Sequence, Stored)> {
        match place {
            Location::Line(place) => {
                let slot = self.line.get_mut(place)?;
                let stored = slot.stored.take()?;
                self.gaps += 1;
                Some((slot.sequence, stored))
            }
            Location::Other(sequence) => {
                let stored = self.others.remove(&sequence)?;
                self.expiries.remove(&(stored.expires, sequence));
                Some((sequence, stored))
            }
        }
    }

    /// The earliest expiry, and its message.
    pub(super) fn first_expiry(&self) -> Option<(Moment, Sequence)> {
        let first = self.line.front();
        let first = first.and_then(|slot| Some((slot.stored.as_ref()?.expires, slot.sequence)));
        first.into_iter().chain(self.expiries.first().copied()).min()
    }

    pub(super) fn clear(&mut self) {
        *self = Messages::default();
    }

    /// The position of the message with this number in the line.
    fn place(&self, sequence: Sequence) -> Option<usize> {
        let from_first = sequence.since(self.line.front()?.sequence)?;
        // If numbers have no gaps, as in the only queue of a broker, the position is the distance
        // from an end. Counting from the last slot works even if an old message is still first.
        let place = if self.is_at(from_first, sequence) {
            from_first
        } else {
            let from_last = self.line.back()?.sequence.since(sequence)?;
            let from_last = (self.line.len() - 1).checked_sub(from_last);
            match from_last.filter(|place| self.is_at(*place, sequence)) {
                Some(place) => place,
                None => self.line.binary_search_by_key(&sequence, |slot| slot.sequence).ok()?,
            }
        };
        self.line.get(place)?.stored.is_some().then_some(place)
    }

    fn is_at(&self, place: usize, sequence: Sequence) -> bool {
        self.line.get(place).is_some_and(|slot| slot.sequence == sequence)
    }

    /// Removes the gaps at the ends of the line, and all others before they outnumber the messages.
    pub(super) fn tidy(&mut self) {
        let is_gap = |slot: &Slot| slot.stored.is_none();
        while self.line.front().is_some_and(is_gap) {
            self.line.pop_front();
            self.gaps -= 1;
        }
        while self.line.back().is_some_and(is_gap) {
            self.line.pop_back();
            self.gaps -= 1;
        }
        if self.gaps > self.line.len() / 2 {
            self.line.retain(|slot| slot.stored.is_some());
            self.gaps = 0;
        }
        shrink(&mut self.line);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::message::{Counts, State};
    use super::*;
    use crate::queue::Body;

    fn number(number: u64) -> Sequence {
        (0..number).fold(Sequence::START, |sequence, _| sequence.next())
    }

    fn expiring(at: u64) -> Stored {
        Stored {
            body: Body::new(""),
            state: State::Ready,
            position: 0,
            expires: Moment::from_nanos(at),
            counts: Counts::default(),
        }
    }

    fn expires(stored: Option<&Stored>) -> Option<Moment> {
        stored.map(|stored| stored.expires)
    }

    /// A message is inserted or removed.
    #[derive(Clone, Copy, Debug)]
    enum Step {
        /// The next number, with an expiry that is later by this much.
        Next(u64),
        Insert(u64, u64),
        Remove(u64),
        RemoveFirst,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u64..3).prop_map(Step::Next),
            1 => (0_u64..100, 0_u64..50).prop_map(|(number, at)| Step::Insert(number, at)),
            3 => (0_u64..100).prop_map(Step::Remove),
            1 => Just(Step::RemoveFirst),
        ];
        vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn it_behaves_like_a_map_with_expiries(steps in steps()) {
            let (mut messages, mut map) = (Messages::default(), BTreeMap::new());
            let (mut last, mut end) = (0, 0);
            for step in steps {
                let mut insert = |position: u64, at: u64| {
                    let sequence = number(position);
                    if map.insert(sequence, Moment::from_nanos(at)).is_none() {
                        messages.insert(sequence, expiring(at));
                    } else {
                        map.insert(sequence, expires(messages.get(sequence)).unwrap());
                    }
                };
                match step {
                    Step::Next(more) => {
                        (last, end) = (last + 1, end + more);
                        insert(last, end);
                    }
                    Step::Insert(number, at) => {
                        last = last.max(number);
                        insert(number, at);
                    }
                    Step::Remove(position) => {
                        let sequence = number(position);
                        let removed = messages.remove(sequence);
                        prop_assert_eq!(expires(removed.as_ref()), map.remove(&sequence));
                    }
                    Step::RemoveFirst => {
                        if let Some((sequence, at)) = map.pop_first() {
                            prop_assert_eq!(expires(messages.remove(sequence).as_ref()), Some(at));
                        }
                    }
                }
                prop_assert_eq!(messages.len(), map.len());
                let first = map.iter().map(|(sequence, at)| (*at, *sequence)).min();
                prop_assert_eq!(
                    messages.first_expiry().map(|(at, _)| at),
                    first.map(|(at, _)| at)
                );
                for position in 0..110 {
                    let sequence = number(position);
                    let found = expires(messages.get(sequence));
                    prop_assert_eq!(found, map.get(&sequence).copied());
                    prop_assert_eq!(
                        messages.get_mut(sequence).map(|stored| stored.expires),
                        found
                    );
                }
            }
        }
    }

    #[test]
    fn a_message_that_stays_does_not_keep_the_memory_of_removed_ones() {
        let mut messages = Messages::default();
        let mut sequence = Sequence::START;
        for count in 0..20_000 {
            sequence = sequence.next();
            messages.insert(sequence, expiring(count));
        }
        for left in 2..20_000 {
            messages.remove(number(left));
        }
        assert_eq!(messages.len(), 2);
        assert!(messages.line.capacity() <= 1024, "{}", messages.line.capacity());
    }
}
