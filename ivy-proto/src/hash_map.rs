//! Values by their keys, found as fast among many as among few.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;

use rustc_hash::FxBuildHasher;

/// A map that is walked through in the order of its keys alone, whatever order they came in. It has
/// no random state: its keys are our own, and nobody can choose them so that they collide.
#[expect(
    clippy::disallowed_types,
    reason = "sorted iteration, and a hasher without a random state"
)]
pub(crate) struct SortedHashMap<Key, Value>(std::collections::HashMap<Key, Value, FxBuildHasher>);

impl<Key: Eq + Hash, Value> SortedHashMap<Key, Value> {
    pub(crate) fn new() -> Self {
        SortedHashMap(Default::default())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All keys, in their order.
    pub(crate) fn sorted_keys(&self) -> Vec<Key>
    where
        Key: Ord + Copy,
    {
        let mut keys: Vec<Key> = self.0.keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&Value>
    where
        Key: Borrow<Q>,
    {
        self.0.get(key)
    }

    pub(crate) fn insert(&mut self, key: Key, value: Value) -> Option<Value> {
        self.0.insert(key, value)
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Value> {
        let value = self.0.remove(key);
        // What a burst has left behind is given back.
        if self.0.len() < self.0.capacity() / 8 && self.0.capacity() > 2048 {
            self.0.shrink_to(self.0.len() * 2);
        }
        value
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl<Key: Eq + Hash, Value> FromIterator<(Key, Value)> for SortedHashMap<Key, Value> {
    fn from_iter<I: IntoIterator<Item = (Key, Value)>>(entries: I) -> Self {
        SortedHashMap(entries.into_iter().collect())
    }
}

impl<Key: Eq + Hash, Value> Default for SortedHashMap<Key, Value> {
    fn default() -> Self {
        SortedHashMap::new()
    }
}

impl<Key: Eq + Hash, Value> fmt::Debug for SortedHashMap<Key, Value> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SortedHashMap of {}", self.len())
    }
}
