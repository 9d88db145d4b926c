//! Keys and their values.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::commands;
use super::resp::Command;

/// The value of a key. A key whose value becomes empty is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Texts in order.
    List(VecDeque<Vec<u8>>),
    /// Fields, each with a text.
    Hash(Hash),
    /// Texts by scores.
    SortedSet(SortedSet),
}

/// A key has a value of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongType;

/// All keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    keys: BTreeMap<Vec<u8>, Value>,
}

/// What a type of value needs to be stored under a key.
pub(super) trait ValueType: Default {
    fn of(value: &Value) -> Option<&Self>;
    fn of_mut(value: &mut Value) -> Option<&mut Self>;
    fn into_value(self) -> Value;
    fn is_empty(&self) -> bool;
}

impl Store {
    /// All keys and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &Value)> {
        self.keys.iter().map(|(key, value)| (key.as_slice(), value))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Value> {
        self.keys.get(key)
    }

    /// Drops a key, as an eviction does.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        self.keys.remove(key).is_some()
    }

    /// Executes a command that was executed elsewhere.
    ///
    /// # Panics
    ///
    /// If there is no such command.
    pub fn apply(&mut self, command: &Command) {
        let Some((name, arguments)) = command.split_first() else { return };
        let spec = std::str::from_utf8(name).ok().and_then(commands::command_spec);
        spec.expect("the command was executed before").execute(self, arguments);
    }

    /// The value of a key, if it has one of this type.
    pub(super) fn read<K: ValueType>(&self, key: &[u8]) -> Result<Option<&K>, WrongType> {
        self.keys.get(key).map(|value| K::of(value).ok_or(WrongType)).transpose()
    }

    /// Changes the value of a key, which is empty at first.
    pub(super) fn change<K: ValueType, T>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut K) -> T,
    ) -> Result<T, WrongType> {
        if !self.keys.contains_key(key) {
            let mut value = K::default();
            let result = change(&mut value);
            if !value.is_empty() {
                self.keys.insert(key.to_vec(), value.into_value());
            }
            return Ok(result);
        }
        let value = self.keys.get_mut(key).and_then(K::of_mut).ok_or(WrongType)?;
        let result = change(value);
        if value.is_empty() {
            self.keys.remove(key);
        }
        Ok(result)
    }
}

/// A hash whose fields keep the order in which they were added, as in a server's small hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hash {
    order: BTreeMap<u64, Vec<u8>>,
    fields: BTreeMap<Vec<u8>, (u64, Vec<u8>)>,
    added: u64,
}

impl Hash {
    /// The value of a field.
    #[must_use]
    pub fn get(&self, field: &[u8]) -> Option<&Vec<u8>> {
        self.fields.get(field).map(|(_, text)| text)
    }

    /// All fields and their values.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.page(0).map(|(_, field, text)| (field, text))
    }

    /// The number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields from this number on, with their numbers.
    pub(super) fn page(&self, from: u64) -> impl Iterator<Item = (u64, &[u8], &[u8])> {
        self.order
            .range(from..)
            .map(|(number, field)| (*number, field.as_slice(), self.fields[field].1.as_slice()))
    }

    /// Returns whether the field is new.
    pub(super) fn set(&mut self, field: &[u8], text: &[u8]) -> bool {
        if let Some((_, value)) = self.fields.get_mut(field) {
            *value = text.to_vec();
            return false;
        }
        self.added += 1;
        self.order.insert(self.added, field.to_vec());
        self.fields.insert(field.to_vec(), (self.added, text.to_vec()));
        true
    }

    /// Returns whether the field existed.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let Some((number, _)) = self.fields.remove(field) else { return false };
        self.order.remove(&number);
        true
    }
}

/// A sorted set whose scores are whole numbers, or infinite.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SortedSet {
    order: BTreeSet<(i64, Vec<u8>)>,
    scores: BTreeMap<Vec<u8>, i64>,
}

impl SortedSet {
    /// The score that is larger than all others.
    pub const INFINITE: i64 = i64::MAX;

    /// The score of a member.
    #[must_use]
    pub fn score(&self, member: &[u8]) -> Option<i64> {
        self.scores.get(member).copied()
    }

    /// All members with their scores, the lowest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&[u8], i64)> {
        self.order.iter().map(|(score, member)| (member.as_slice(), *score))
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// Returns whether the member is new.
    pub(super) fn add(&mut self, member: &[u8], score: i64) -> bool {
        let before = self.scores.insert(member.to_vec(), score);
        if let Some(before) = before {
            self.order.remove(&(before, member.to_vec()));
        }
        self.order.insert((score, member.to_vec()));
        before.is_none()
    }

    /// Returns whether the member existed.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let Some(score) = self.scores.remove(member) else { return false };
        self.order.remove(&(score, member.to_vec()))
    }
}

macro_rules! value_type {
    ($value:ty, $kind:ident) => {
        impl ValueType for $value {
            fn of(value: &Value) -> Option<&Self> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }

            fn of_mut(value: &mut Value) -> Option<&mut Self> {
                if let Value::$kind(value) = value { Some(value) } else { None }
            }

            fn into_value(self) -> Value {
                Value::$kind(self)
            }

            fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }
    };
}

value_type!(VecDeque<Vec<u8>>, List);
value_type!(Hash, Hash);
value_type!(SortedSet, SortedSet);
