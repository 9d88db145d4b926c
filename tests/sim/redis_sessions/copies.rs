//! The copies of each message in the keys of a server.

use std::collections::BTreeMap;

use ivy_proto::{MessageId, QueueName};
use ivy_sim::redis::{Store, Value};

/// The length of an id, and of everything in front of a body.
const ID_LENGTH: usize = 18;
const HEADER: usize = ID_LENGTH + 4;

/// All copies of a message. Without faults there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copies {
    pub(super) queue: QueueName,
    /// The number of copies that are ready, delayed, or moved for a wait.
    pub(super) free: u32,
    /// The fields of the reserved copies.
    pub(super) held: Vec<Vec<u8>>,
    /// The counts of failed attempts and of lost deliveries, in the last copy.
    pub(super) counts: (u32, u32),
    pub(super) body: String,
}

/// Finds all messages in the keys.
pub(super) fn find_messages(store: &Store) -> BTreeMap<MessageId, Copies> {
    let mut all = BTreeMap::new();
    for (key, value) in store.iter() {
        let Some(queue) = queue_of(key) else { continue };
        match value {
            Value::List(list) => {
                list.iter().for_each(|element| add(&mut all, &queue, element, None))
            }
            Value::SortedSet(set) if key.ends_with(b":d") => {
                set.iter().for_each(|(element, _)| add(&mut all, &queue, element, None));
            }
            Value::SortedSet(_) => {}
            Value::Hash(hash) => {
                hash.iter()
                    .for_each(|(field, element)| add(&mut all, &queue, element, Some(field)));
            }
        }
    }
    all
}

fn add(
    all: &mut BTreeMap<MessageId, Copies>,
    queue: &QueueName,
    element: &[u8],
    field: Option<&[u8]>,
) {
    // A nudge is no message.
    let Some((header, body)) = element.split_at_checked(HEADER) else { return };
    let header = std::str::from_utf8(header).expect("an id and counts are ASCII");
    let count = |at: usize| u32::from_str_radix(&header[at..at + 2], 16).expect("it is a count");
    let counts = (count(ID_LENGTH), count(ID_LENGTH + 2));
    let copies = all.entry(MessageId::new(&header[..ID_LENGTH])).or_insert_with(|| Copies {
        queue: queue.clone(),
        free: 0,
        held: Vec::new(),
        counts,
        body: String::from_utf8_lossy(body).into_owned(),
    });
    copies.counts = counts;
    match field {
        Some(field) => copies.held.push(field.to_vec()),
        None => copies.free += 1,
    }
}

/// The queue of a key: its name is between braces.
fn queue_of(key: &[u8]) -> Option<QueueName> {
    let key = std::str::from_utf8(key).ok()?;
    let (_, rest) = key.split_once('{')?;
    let (name, _) = rest.split_once('}')?;
    QueueName::new(name).ok()
}
