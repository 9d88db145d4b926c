//! The parts of a machine that keep failing.

use std::collections::BTreeMap;

use super::{DegradedReason, Event, Part};

/// The most parts that are remembered: names of tasks come from messages.
const MOST: usize = 100;

/// The parts that are degraded now, according to a machine's own events.
#[derive(Debug, Default)]
pub(crate) struct DegradedParts {
    parts: BTreeMap<Part, DegradedReason>,
    changes: u64,
}

impl DegradedParts {
    pub(crate) fn follow(&mut self, event: &Event) {
        let has_changed = match event {
            Event::Degraded { part, why } if self.parts.len() < MOST => {
                self.parts.insert(part.clone(), why.clone()).is_none()
            }
            Event::Recovered { part } => self.parts.remove(part).is_some(),
            _ => false,
        };
        self.changes = self.changes.wrapping_add(u64::from(has_changed));
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
