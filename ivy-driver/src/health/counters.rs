//! Counts the connections of a health listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ivy_proto::health::ProbeCounts;

/// The counts so far. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    answered: AtomicU64,
    refused: AtomicU64,
    cut_off: AtomicU64,
}

impl Counters {
    pub(super) fn answered(&self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn cut_off(&self) {
        self.0.cut_off.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> ProbeCounts {
        let Shared { answered, refused, cut_off } = &*self.0;
        let mut counts = ProbeCounts::default();
        counts.answered = answered.load(Ordering::Relaxed);
        counts.refused = refused.load(Ordering::Relaxed);
        counts.cut_off = cut_off.load(Ordering::Relaxed);
        counts
    }
}
