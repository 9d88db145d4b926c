//! Leases that ended before their message arrived.
//!
//! A backend's report about its connection may overtake a reserve's reply that was received through
//! it.

use std::collections::BTreeSet;

use crate::id::Receipt;

/// The maximum number of receipts that are remembered. Beyond this, arbitrary receipts are
/// forgotten; their tasks may run twice.
const MAX_REMEMBERED: usize = 10_000;

/// Receipts that are already invalid when they arrive.
#[derive(Debug, Default)]
pub(super) struct LostBeforeArrival(BTreeSet<Receipt>);

impl LostBeforeArrival {
    /// Remembers receipts whose leases ended before arrival.
    pub(super) fn extend(&mut self, receipts: impl Iterator<Item = Receipt>) {
        self.0.extend(receipts);
        while self.0.len() > MAX_REMEMBERED {
            self.0.pop_first();
        }
    }

    /// Removes this receipt. Returns whether it was lost; each arrives once.
    pub(super) fn remove(&mut self, receipt: &Receipt) -> bool {
        !self.0.is_empty() && self.0.remove(receipt)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
