//! What the producer has counted, and its present state.

use crate::metrics::{Combine, Snapshot};

use super::Producer;

impl Producer {
    /// What the producer has counted since its start, and its present state.
    #[must_use]
    pub fn metrics(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            resends: self.meter.resends().clone(),
            results: self.meter.results(),
            calls_waiting: self.pending.awaited() as u64,
            outbox_calls: self.pending.unsent() as u64,
            requests: self.requests.by_kind(),
            degraded: self.degraded.parts().cloned().collect(),
            ..Snapshot::default()
        };
        for (key, counts) in self.meter.sends() {
            let sum = snapshot.sent.entry(key.clone()).or_default();
            sum.combine(counts, u64::saturating_add);
        }
        snapshot
    }
}
