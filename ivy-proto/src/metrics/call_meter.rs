//! The counts of a producer.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use crate::hash_map::SortedHashMap;
use crate::name::{QueueName, TaskName};

use super::counts::{Combine, ResultOutcome, ResultTimes, SendCounts, SendOutcome};
use super::labels::{Labels, TaskKey};

/// Counts by queue and task. A call is looked up once; everything after that is an addition at a
/// known place.
#[derive(Debug, Default)]
pub(crate) struct CallMeter {
    labels: Labels,
    /// Where the counts of a queue and task are in `rows`. As many entries as rows, so that names
    /// without end take no memory without end.
    places: SortedHashMap<TaskKey, u32>,
    rows: Vec<CallCounts>,
    resends: BTreeMap<QueueName, u64>,
    /// The row of the last call: a program often calls one task many times in a row.
    last: Option<CallRow>,
    has_reported: bool,
}

#[derive(Debug)]
struct CallCounts {
    key: TaskKey,
    /// Calls of names without a label of their own are counted here too.
    sends: SendCounts,
    results: ResultTimes,
}

/// Where the counts of a call are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallRow(u32);

impl CallMeter {
    /// The row of a call.
    pub(crate) fn row(&mut self, queue: &QueueName, task: &TaskName) -> CallRow {
        if let Some(last) = self.last
            && let Some(row) = self.rows.get(last.0 as usize)
            && are_equal(&row.key.task, task)
            && are_equal(&row.key.queue, queue)
        {
            return last;
        }
        let row = self.find_row(queue, task);
        self.last = Some(row);
        row
    }

    fn find_row(&mut self, queue: &QueueName, task: &TaskName) -> CallRow {
        let key = TaskKey { queue: queue.clone(), task: task.clone() };
        if let Some(place) = self.places.get(&key) {
            return CallRow(*place);
        }
        let key = self.labels.key(&key);
        if let Some(place) = self.places.get(&key) {
            return CallRow(*place);
        }
        let place = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.places.insert(key.clone(), place);
        let (sends, results) = (SendCounts::default(), ResultTimes::default());
        self.rows.push(CallCounts { key, sends, results });
        CallRow(place)
    }

    /// Whether some names share the label of the others, the first time that it is true.
    pub(crate) fn reports_too_many_labels(&mut self) -> bool {
        let is_news = self.labels.are_exceeded() && !self.has_reported;
        self.has_reported |= is_news;
        is_news
    }

    pub(crate) fn sent(&mut self, row: CallRow, outcome: SendOutcome) {
        if let Some(counts) = self.counts(row) {
            counts.sends.add(outcome, 1);
        }
    }

    /// The wait for a result ended after this many microseconds.
    pub(crate) fn result(&mut self, row: CallRow, outcome: ResultOutcome, micros: u64) {
        if let Some(counts) = self.counts(row) {
            counts.results.record_micros(outcome, micros);
        }
    }

    pub(crate) fn resent(&mut self, queue: &QueueName) {
        let label = self.labels.queue(queue);
        let count = self.resends.entry(label).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn sends(&self) -> impl Iterator<Item = (&TaskKey, &SendCounts)> {
        self.rows.iter().map(|row| (&row.key, &row.sends))
    }

    /// How long callers waited for results, by task.
    pub(crate) fn results(&self) -> BTreeMap<TaskName, ResultTimes> {
        let mut results = BTreeMap::<TaskName, ResultTimes>::new();
        for row in &self.rows {
            let times = results.entry(row.key.task.clone()).or_default();
            times.combine(&row.results, u64::saturating_add);
        }
        results
    }

    pub(crate) fn resends(&self) -> &BTreeMap<QueueName, u64> {
        &self.resends
    }

    fn counts(&mut self, row: CallRow) -> Option<&mut CallCounts> {
        self.rows.get_mut(row.0 as usize)
    }
}

/// Compares names; clones of one name are not read.
fn are_equal<Name: Borrow<str> + PartialEq>(one: &Name, other: &Name) -> bool {
    std::ptr::eq::<str>(one.borrow(), other.borrow()) || one == other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{MOST_QUEUES, MOST_TASKS, OTHER};

    #[test]
    fn names_without_end_take_no_memory_without_end() {
        let mut meter = CallMeter::default();
        let mut reports = 0;
        for number in 0..1_000 {
            let queue = QueueName::new(&format!("q{number}")).unwrap();
            let task = TaskName::new(&format!("t{number}")).unwrap();
            let row = meter.row(&queue, &task);
            meter.sent(row, SendOutcome::Sent);
            meter.resent(&queue);
            reports += u32::from(meter.reports_too_many_labels());
        }
        assert_eq!(reports, 1);
        assert!(meter.rows.len() <= MOST_TASKS + 1 && meter.resends.len() <= MOST_QUEUES + 1);
        let sent: u64 = meter.sends().map(|(_, sends)| sends.of(SendOutcome::Sent)).sum();
        assert_eq!(sent, 1_000);
        assert!(meter.results().contains_key(OTHER));
    }
}
