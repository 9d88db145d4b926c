//! The parts of a machine that keep failing.

use std::collections::BTreeMap;

use super::{DegradedReason, Part};

/// How many parts are remembered. Bounded because peers choose the names of tasks.
const MAX_PARTS: usize = 100;

/// The parts of a machine that are degraded now.
#[derive(Debug, Default)]
pub(crate) struct DegradedParts {
    parts: BTreeMap<Part, DegradedReason>,
    changes: u64,
}

impl DegradedParts {
    /// A part keeps failing.
    pub(crate) fn add(&mut self, part: &Part, why: &DegradedReason) {
        let has_room = self.parts.len() < MAX_PARTS || self.parts.contains_key(part);
        if has_room && self.parts.insert(part.clone(), why.clone()).is_none() {
            self.changes = self.changes.wrapping_add(1);
        }
    }

    /// A part works again.
    pub(crate) fn remove(&mut self, part: &Part) {
        if self.parts.remove(part).is_some() {
            self.changes = self.changes.wrapping_add(1);
        }
    }

    /// How often a part was added or removed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Part, &DegradedReason)> {
        self.parts.iter()
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.parts.keys()
    }
}
