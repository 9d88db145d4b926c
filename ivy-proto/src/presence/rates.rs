//! What happened between two records of a worker.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::metrics::{TaskCounts, TaskKey, other_queue, other_task};

use super::record::Record;

/// The difference of two records of one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rates {
    /// The time between them, by the worker's clock.
    pub over: Duration,
    /// Whether records between them were lost. The counts are complete nevertheless.
    pub has_gap: bool,
    /// What was counted in that time. A task that was among the busiest in only one of the records
    /// is left out.
    pub by_task: BTreeMap<TaskKey, TaskCounts>,
}

impl Rates {
    /// The difference between a record and an earlier one; `None` if they are of two workers or in
    /// another order.
    #[must_use]
    pub fn between(earlier: &Record, later: &Record) -> Option<Self> {
        if earlier.worker != later.worker || earlier.seq >= later.seq {
            return None;
        }
        let over = later.up.checked_sub(earlier.up).filter(|over| !over.is_zero())?;
        let others = TaskKey { queue: other_queue(), task: other_task() };
        let mut by_task = BTreeMap::new();
        for (key, counts) in &later.counts {
            let before = match earlier.counts.get(key) {
                Some(before) => before.clone(),
                // The earlier record had room for all tasks, and this one had no message.
                None if !earlier.counts.contains_key(&others) => TaskCounts::default(),
                None => continue,
            };
            by_task.insert(key.clone(), counts.since(&before));
        }
        Some(Rates { over, has_gap: later.seq - earlier.seq > 1, by_task })
    }

    /// A count of [`by_task`](Rates::by_task) per second.
    #[must_use]
    pub fn per_second(&self, count: u64) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let count = count as f64;
        count / self.over.as_secs_f64()
    }
}
