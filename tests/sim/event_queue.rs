//! A queue of future events, ordered by time.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ivy_proto::Moment;

/// Events with the true time at which they are due. Events with the same time come in the order in
/// which they were added.
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
    /// Reversed, because a `BinaryHeap` returns its greatest element first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}
