//! What is due, in the order in which it is due.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ivy_proto::Moment;

/// Things that are due at moments of true time. What is due at one moment comes in the order in
/// which it was put here.
pub(crate) struct EventQueue<What> {
    heap: BinaryHeap<Entry<What>>,
    entries: u64,
}

struct Entry<What> {
    at: Moment,
    number: u64,
    what: What,
}

impl<What> EventQueue<What> {
    pub(crate) fn new() -> Self {
        EventQueue { heap: BinaryHeap::new(), entries: 0 }
    }

    pub(crate) fn add(&mut self, at: Moment, what: What) {
        self.entries += 1;
        self.heap.push(Entry { at, number: self.entries, what });
    }

    pub(crate) fn pop(&mut self) -> Option<(Moment, What)> {
        self.heap.pop().map(|entry| (entry.at, entry.what))
    }
}

impl<What> PartialEq for Entry<What> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<What> Eq for Entry<What> {}

impl<What> PartialOrd for Entry<What> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<What> Ord for Entry<What> {
    /// The earliest is the greatest, as a heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}
