//! A sorted set for keys that are mostly inserted and removed in ascending order.

use std::collections::{BTreeSet, VecDeque};

/// Positions of ready messages are mostly inserted in ascending order. For them, a deque makes the
/// cost independent of the number of keys.
#[derive(Debug)]
pub(super) struct AscendingSet<Key> {
    line: VecDeque<Key>,
    /// Keys removed from the middle of the line. The ends of the line are never among them.
    removed: BTreeSet<Key>,
    /// Keys that were inserted out of order.
    others: BTreeSet<Key>,
}

/// Unused capacity of the line is kept up to this length.
const SHORT: usize = 256;

impl<Key: Ord + Copy> AscendingSet<Key> {
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty() && self.others.is_empty()
    }

    /// Inserts a key, which must not be present.
    pub(super) fn insert(&mut self, key: Key) {
        if self.line.back().is_none_or(|last| *last < key) {
            self.line.push_back(key);
        } else if !self.removed.remove(&key) {
            self.others.insert(key);
        }
    }

    /// Removes a key, if it is present.
    pub(super) fn remove(&mut self, key: &Key) {
        if self.line.front() == Some(key) {
            self.line.pop_front();
        } else if self.line.back() == Some(key) {
            self.line.pop_back();
        } else if self.others.remove(key) || self.line.binary_search(key).is_err() {
            return;
        } else {
            self.removed.insert(*key);
        }
        self.tidy();
    }

    /// The smallest key.
    pub(super) fn first(&self) -> Option<Key> {
        let candidates = [self.line.front(), self.others.first()];
        candidates.into_iter().flatten().min().copied()
    }

    /// All keys in ascending order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Key> {
        let in_line = self.line.iter().filter(|key| !self.removed.contains(*key));
        let (mut line, mut others) = (in_line.peekable(), self.others.iter().peekable());
        std::iter::from_fn(move || {
            let is_other = match (line.peek(), others.peek()) {
                (Some(key), Some(other)) => other < key,
                (key, _) => key.is_none(),
            };
            if is_other { others.next() } else { line.next() }.copied()
        })
    }

    pub(super) fn clear(&mut self) {
        *self = AscendingSet::default();
    }

    fn tidy(&mut self) {
        if !self.removed.is_empty() {
            while self.line.front().is_some_and(|first| self.removed.remove(first)) {
                self.line.pop_front();
            }
            while self.line.back().is_some_and(|last| self.removed.remove(last)) {
                self.line.pop_back();
            }
            if self.removed.len() > self.line.len() / 2 {
                let removed = std::mem::take(&mut self.removed);
                self.line.retain(|key| !removed.contains(key));
            }
        }
        shrink(&mut self.line);
    }
}

/// Frees most of the unused capacity of a line.
pub(super) fn shrink<T>(line: &mut VecDeque<T>) {
    if line.len() < line.capacity() / 4 && line.capacity() > SHORT {
        line.shrink_to(2 * line.len());
    }
}

impl<Key> Default for AscendingSet<Key> {
    fn default() -> Self {
        AscendingSet { line: VecDeque::new(), removed: BTreeSet::new(), others: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_behaves_like_a_sorted_set(steps in vec((any::<bool>(), 0_u8..40), 0..300)) {
            let (mut ascending, mut set) = (AscendingSet::default(), BTreeSet::new());
            for (insert, key) in steps {
                if insert && set.insert(key) {
                    ascending.insert(key);
                } else if !insert {
                    set.remove(&key);
                    ascending.remove(&key);
                }
                prop_assert_eq!(ascending.first(), set.first().copied());
                prop_assert_eq!(ascending.is_empty(), set.is_empty());
                prop_assert!(ascending.iter().eq(set.iter().copied()));
            }
        }
    }

    #[test]
    fn removed_keys_do_not_occupy_memory() {
        let mut ascending = AscendingSet::default();
        for key in 0..100_000 {
            ascending.insert(key);
        }
        for key in 0..100_000 {
            ascending.remove(&key);
        }
        assert!(ascending.is_empty() && ascending.line.capacity() <= SHORT);
    }
}
