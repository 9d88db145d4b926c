//! Leases that have ended before the message of which they are has arrived.
//!
//! What a backend reports of its connection may overtake the answer to a reserve that came by it.

use std::collections::BTreeSet;

use crate::id::Receipt;

/// How many are remembered. A lost lease that is forgotten costs a second run of its task.
const MOST: usize = 10_000;

/// Receipts that are worthless when they arrive.
#[derive(Debug, Default)]
pub(super) struct LostBeforeArrival(BTreeSet<Receipt>);

impl LostBeforeArrival {
    pub(super) fn extend(&mut self, receipts: impl Iterator<Item = Receipt>) {
        self.0.extend(receipts);
        while self.0.len() > MOST {
            self.0.pop_first();
        }
    }

    /// Whether this receipt is one of them. Each arrives once.
    pub(super) fn take(&mut self, receipt: &Receipt) -> bool {
        !self.0.is_empty() && self.0.remove(receipt)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing is on its way any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
