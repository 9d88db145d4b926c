//! A map for many large values.

use std::fmt;
use std::hash::Hash;

use slab::Slab;

use crate::hash_map::SortedHashMap;

/// Like a [`SortedHashMap`], but the hash table stores only small indices, and a new value reuses
/// the slot that was freed last. So short-lived values stay in a few slots, even if thousands of
/// others stay.
pub(crate) struct SlabMap<Key: Eq + Hash, Value> {
    places: SortedHashMap<Key, usize>,
    entries: Slab<(Key, Value)>,
}

/// Free capacity up to this number is kept.
const FEW: usize = 1024;

impl<Key: Eq + Hash + Copy, Value> SlabMap<Key, Value> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All keys, in their order.
    pub(crate) fn sorted_keys(&self) -> Vec<Key>
    where
        Key: Ord,
    {
        self.places.sorted_keys()
    }

    /// All values, in arbitrary order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().map(|(_, (_, value))| value)
    }

    pub(crate) fn contains(&self, key: &Key) -> bool {
        self.places.contains(key)
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.entries.get(*self.places.get(key)?).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut Value> {
        self.entries.get_mut(*self.places.get(key)?).map(|(_, value)| value)
    }

    pub(crate) fn insert(&mut self, key: Key, value: Value) {
        let place = self.entries.insert((key, value));
        if let Some(before) = self.places.insert(key, place) {
            self.entries.try_remove(before);
        }
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Value> {
        let (_, value) = self.entries.try_remove(self.places.remove(key)?)?;
        // Frees the capacity that a burst has left.
        if self.len() < self.entries.capacity() / 8 && self.entries.capacity() > FEW {
            let places = &mut self.places;
            self.entries.compact(|(key, _), _, to| {
                places.insert(*key, to);
                true
            });
        }
        Some(value)
    }
}

impl<Key: Eq + Hash, Value> Default for SlabMap<Key, Value> {
    fn default() -> Self {
        SlabMap { places: SortedHashMap::default(), entries: Slab::new() }
    }
}

impl<Key: Eq + Hash, Value> fmt::Debug for SlabMap<Key, Value> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlabMap of {}", self.entries.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in prop::collection::vec((any::<bool>(), 0..50_u8, any::<u8>()), 0..200)) {
            let (mut slab_map, mut map) = (SlabMap::default(), BTreeMap::new());
            for (comes, key, value) in steps {
                if comes {
                    slab_map.insert(key, value);
                    map.insert(key, value);
                } else {
                    prop_assert_eq!(slab_map.remove(&key), map.remove(&key));
                }
                prop_assert_eq!(slab_map.len(), map.len());
                prop_assert_eq!(slab_map.sorted_keys(), map.keys().copied().collect::<Vec<_>>());
                for key in 0..50 {
                    prop_assert_eq!(slab_map.get(&key), map.get(&key));
                }
            }
        }
    }

    #[test]
    fn the_capacity_of_removed_values_is_freed() {
        let mut slab_map = SlabMap::default();
        for key in 0..100_000 {
            slab_map.insert(key, key + 1);
        }
        for key in (0..100_000).filter(|key| key % 10_000 != 9_999) {
            assert_eq!(slab_map.remove(&key), Some(key + 1));
        }
        assert!(slab_map.entries.capacity() <= FEW, "{}", slab_map.entries.capacity());
        assert!((1..=10).all(|n| slab_map.get(&(10_000 * n - 1)) == Some(&(10_000 * n))));
    }
}
