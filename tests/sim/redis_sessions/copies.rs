//! The copies of each message in the keys of a server.

use std::collections::BTreeMap;

use ivy_proto::{MessageId, QueueName};
use ivy_sim::redis::{Command, Store, Value};

/// The length of an id, and of everything in front of a body.
const ID_LENGTH: usize = 18;
const HEADER: usize = ID_LENGTH + 4;

/// All copies of a message. Without faults there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copies {
    pub(super) queue: QueueName,
    pub(super) body: String,
    /// In order.
    copies: Vec<OneCopy>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct OneCopy {
    place: Place,
    /// The counts of failed attempts and of lost deliveries.
    counts: (u32, u32),
}

/// The key of a copy, in the order of the keys' names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Delayed,
    /// Reserved, in this field.
    Held(Vec<u8>),
    /// Moved for a wait.
    Claimed,
    Ready,
}

impl Copies {
    /// The number of copies that are ready, delayed, or moved for a wait.
    pub(super) fn free(&self) -> usize {
        self.copies.len() - self.held().count()
    }

    /// The fields of the reserved copies.
    pub(super) fn held(&self) -> impl Iterator<Item = &[u8]> {
        self.copies.iter().filter_map(|copy| match &copy.place {
            Place::Held(field) => Some(field.as_slice()),
            _ => None,
        })
    }

    pub(super) fn is_held_in(&self, field: &[u8]) -> bool {
        self.held().any(|held| held == field)
    }

    /// The counts of failed attempts and of lost deliveries, in the last copy.
    pub(super) fn counts(&self) -> (u32, u32) {
        self.copies.last().map_or((0, 0), |copy| copy.counts)
    }
}

/// A message whose copies have changed: before and after.
pub(super) type Changed = (MessageId, (Option<Copies>, Option<Copies>));

/// The copies of all messages, kept up to date with each command.
#[derive(Debug, Default)]
pub(super) struct AllCopies {
    by_id: BTreeMap<MessageId, Copies>,
    /// What the copies were when changes were last taken.
    before: BTreeMap<MessageId, Option<Copies>>,
}

impl AllCopies {
    /// The messages in these keys.
    pub(super) fn of(store: &Store) -> Self {
        let mut all = AllCopies::default();
        for (key, value) in store.iter() {
            for (element, place) in elements(key, value) {
                all.add(key, element, place);
            }
        }
        all.before.clear();
        all
    }

    pub(super) fn get(&self, id: &MessageId) -> Option<&Copies> {
        self.by_id.get(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&MessageId, &Copies)> {
        self.by_id.iter()
    }

    /// A command that writes is about to be applied to these keys.
    pub(super) fn apply(&mut self, command: &Command, store: &Store) {
        let [name, key, arguments @ ..] = command.as_slice() else { return };
        match name.as_slice() {
            b"RPUSH" | b"LPUSH" => {
                let Some(place) = place_in_list(key) else { return };
                arguments.iter().for_each(|element| self.add(key, element, place.clone()));
            }
            b"LTRIM" => {
                let from =
                    std::str::from_utf8(&arguments[0]).ok().and_then(|from| from.parse().ok());
                let removed = elements_of(store, key).into_iter().take(from.expect("a position"));
                removed.for_each(|(element, place)| self.remove(element, &place));
            }
            b"LMOVE" => {
                let Some((element, place)) = elements_of(store, key).into_iter().next() else {
                    return;
                };
                self.remove(element, &place);
                let to = place_in_list(&arguments[0]).expect("a list");
                self.add(key, element, to);
            }
            b"ZADD" if key.ends_with(b"}:d") => {
                let Some(Value::SortedSet(set)) = store.get(key) else {
                    return arguments
                        .chunks_exact(2)
                        .for_each(|pair| self.add(key, &pair[1], Place::Delayed));
                };
                for pair in arguments.chunks_exact(2).filter(|pair| set.score(&pair[1]).is_none()) {
                    self.add(key, &pair[1], Place::Delayed);
                }
            }
            b"ZREM" if key.ends_with(b"}:d") => {
                arguments.iter().for_each(|element| self.remove(element, &Place::Delayed));
            }
            b"HSET" => {
                for pair in arguments.chunks_exact(2) {
                    self.remove_field(store, key, &pair[0]);
                    self.add(key, &pair[1], Place::Held(pair[0].clone()));
                }
            }
            b"HDEL" => arguments.iter().for_each(|field| self.remove_field(store, key, field)),
            b"UNLINK" => {
                for key in &command[1..] {
                    let removed = elements_of(store, key);
                    removed.into_iter().for_each(|(element, place)| self.remove(element, &place));
                }
            }
            _ => {}
        }
    }

    /// The messages whose copies have changed since the last call.
    pub(super) fn take_changed(&mut self) -> Vec<Changed> {
        let before = std::mem::take(&mut self.before).into_iter();
        let changed = before.map(|(id, before)| {
            let after = self.by_id.get(&id).cloned();
            (id, (before, after))
        });
        changed.filter(|(_, (before, after))| before != after).collect()
    }

    /// The copies after the keys changed without a command.
    pub(super) fn replace(&mut self, store: &Store) {
        let replaced = std::mem::replace(self, AllCopies::of(store));
        let all = self.by_id.keys().chain(replaced.by_id.keys()).cloned();
        self.before = all.map(|id| (id.clone(), replaced.by_id.get(&id).cloned())).collect();
    }

    fn add(&mut self, key: &[u8], element: &[u8], place: Place) {
        let Some((id, counts, body)) = parse(element) else { return };
        let Some(queue) = queue_of(key) else { return };
        self.remember(&id);
        let copies = self.by_id.entry(id).or_insert_with(|| Copies {
            queue,
            body: String::from_utf8_lossy(body).into_owned(),
            copies: Vec::new(),
        });
        copies.copies.push(OneCopy { place, counts });
        copies.copies.sort();
    }

    fn remove(&mut self, element: &[u8], place: &Place) {
        let Some((id, counts, _)) = parse(element) else { return };
        self.remember(&id);
        let Some(copies) = self.by_id.get_mut(&id) else { return };
        let mut all = copies.copies.iter();
        if let Some(at) = all.position(|copy| copy.place == *place && copy.counts == counts) {
            copies.copies.remove(at);
        }
        if copies.copies.is_empty() {
            self.by_id.remove(&id);
        }
    }

    fn remove_field(&mut self, store: &Store, key: &[u8], field: &[u8]) {
        if let Some(Value::Hash(hash)) = store.get(key)
            && let Some(element) = hash.get(field)
        {
            self.remove(element, &Place::Held(field.to_vec()));
        }
    }

    fn remember(&mut self, id: &MessageId) {
        if !self.before.contains_key(id) {
            self.before.insert(id.clone(), self.by_id.get(id).cloned());
        }
    }
}

/// The elements of a key that contains messages.
fn elements_of<'a>(store: &'a Store, key: &[u8]) -> Vec<(&'a [u8], Place)> {
    store.get(key).map(|value| elements(key, value)).unwrap_or_default()
}

fn elements<'a>(key: &[u8], value: &'a Value) -> Vec<(&'a [u8], Place)> {
    match value {
        Value::List(list) => {
            let Some(place) = place_in_list(key) else { return Vec::new() };
            list.iter().map(|element| (element.as_slice(), place.clone())).collect()
        }
        Value::SortedSet(set) if key.ends_with(b"}:d") => {
            set.iter().map(|(element, _)| (element, Place::Delayed)).collect()
        }
        Value::SortedSet(_) => Vec::new(),
        Value::Hash(hash) => {
            hash.iter().map(|(field, element)| (element, Place::Held(field.to_vec()))).collect()
        }
    }
}

fn place_in_list(key: &[u8]) -> Option<Place> {
    match key {
        [.., b'}', b':', b'r'] => Some(Place::Ready),
        [.., b'}', b':', b'p'] => Some(Place::Claimed),
        _ => None,
    }
}

/// The id, the counts and the body of a message. `None` for a nudge.
pub(super) fn parse(element: &[u8]) -> Option<(MessageId, (u32, u32), &[u8])> {
    let (header, body) = element.split_at_checked(HEADER)?;
    let header = std::str::from_utf8(header).expect("an id and counts are ASCII");
    let count = |at: usize| u32::from_str_radix(&header[at..at + 2], 16).expect("it is a count");
    let counts = (count(ID_LENGTH), count(ID_LENGTH + 2));
    Some((MessageId::new(&header[..ID_LENGTH]), counts, body))
}

/// The queue of a key: its name is between braces.
pub(super) fn queue_of(key: &[u8]) -> Option<QueueName> {
    let key = std::str::from_utf8(key).ok()?;
    let (_, rest) = key.split_once('{')?;
    let (name, _) = rest.split_once('}')?;
    QueueName::new(name).ok()
}
