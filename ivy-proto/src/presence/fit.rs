//! Truncates a record to its limits.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::{Combine, TaskCounts, TaskKey, other_queue, other_task};

use super::TEXT_CAP;
use super::record::Record;
use super::text::{WireCounts, WireDegraded, WireQueue, WireRunning};

/// The limits of each list, in entries and in bytes of JSON. What they leave is for the counts.
const DEGRADED: (usize, usize) = (10, 3 * 1024);
const QUEUES: (usize, usize) = (100, 3 * 1024);
const TASKS: (usize, usize) = (200, 5 * 1024);
const LONGEST: (usize, usize) = (20, 3 * 1024);
/// How many tasks are counted one by one, at most.
const BUSIEST: usize = 50;
/// The room for the counts of all other tasks, however large.
const OTHERS: usize = 4 * 1024;

impl Record {
    /// Leaves out what does not fit, so that its text is at most [`TEXT_CAP`] bytes long. The first
    /// entries of each list remain, and the counts of the busiest tasks.
    pub(crate) fn fitted(mut self) -> Self {
        keep(&mut self.degraded, DEGRADED, |one| size(&WireDegraded::of(one)));
        self.more.queues += keep(&mut self.queues, QUEUES, |one| size(&WireQueue::of(one)));
        self.more.tasks += keep(&mut self.tasks, TASKS, |one| size(&one.as_str()));
        keep(&mut self.longest, LONGEST, |one| size(&WireRunning::of(one)));
        let counts = std::mem::take(&mut self.counts);
        let room = TEXT_CAP.saturating_sub(self.to_text().len() + OTHERS);
        self.counts = busiest(counts, room);
        self
    }
}

/// The counts of the tasks that were started most often, as far as they fit into this many bytes.
/// The others are added.
fn busiest(
    counts: BTreeMap<TaskKey, TaskCounts>,
    mut room: usize,
) -> BTreeMap<TaskKey, TaskCounts> {
    let mut ranked: Vec<(TaskKey, TaskCounts)> = counts.into_iter().collect();
    ranked.sort_by_key(|(_, counts)| Reverse(counts.started));
    let mut kept = BTreeMap::new();
    let mut others: Option<TaskCounts> = None;
    for (key, counts) in ranked {
        let size = size(&WireCounts::of(&key, &counts));
        if others.is_none() && kept.len() < BUSIEST && size <= room {
            room -= size;
            kept.insert(key, counts);
        } else {
            others.get_or_insert_default().combine(&counts, u64::saturating_add);
        }
    }
    if let Some(others) = others {
        let key = TaskKey { queue: other_queue(), task: other_task() };
        kept.entry(key).or_default().combine(&others, u64::saturating_add);
    }
    kept
}

/// Drops the entries beyond the limit, and returns how many.
fn keep<T>(
    list: &mut Vec<T>,
    (entries, mut room): (usize, usize),
    size: impl Fn(&T) -> usize,
) -> u64 {
    let fitting = list.iter().take(entries).take_while(|entry| {
        let size = size(entry);
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    });
    let kept = fitting.count();
    let dropped = list.len() - kept;
    list.truncate(kept);
    dropped as u64
}

/// The length of an entry in a list, in bytes, with its separator.
fn size(wire: &impl Serialize) -> usize {
    serde_json::to_string(wire).map_or(usize::MAX, |text| text.len().saturating_add(1))
}
