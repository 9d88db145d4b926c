//! What the workers that were heard do together.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::metrics::{Combine, TaskCounts, TaskKey};
use crate::name::QueueName;

use super::listener::{Heard, HeardWorker, Liveness};
use super::record::Record;

/// What the workers of a physical queue do together, as far as they were heard.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct QueueActivity {
    /// How many workers serve the queue. Those that are silent or gone are not included.
    pub workers: u64,
    /// How many handlers end per second. `None` if no worker was heard twice.
    pub executed_per_second: Option<f64>,
    /// The share of them that failed, from 0 to 1. `None` if none ended.
    pub failed: Option<f64>,
}

/// The sums of a queue.
#[derive(Debug, Default)]
struct Sums {
    workers: u64,
    per_second: Option<f64>,
    executed: u64,
    failed: u64,
}

impl HeardWorker {
    /// Whether it was heard lately, and has not ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.liveness == Liveness::Alive
    }

    /// The difference between the worker's clock and one that shows `now`, in milliseconds since
    /// 1970. Includes the time that the record took to arrive.
    #[must_use]
    pub fn clock_difference(&self, now: u64) -> Duration {
        let Record { started, up, .. } = &self.record;
        let shown = Duration::from_millis(*started).saturating_add(*up);
        shown.saturating_add(self.silence).abs_diff(Duration::from_millis(now))
    }
}

impl Heard {
    /// What the workers have counted since their starts, by queue and task.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<TaskKey, TaskCounts> {
        let mut sums = BTreeMap::<TaskKey, TaskCounts>::new();
        for (key, counts) in self.workers.iter().flat_map(|worker| &worker.record.counts) {
            sums.entry(key.clone()).or_default().combine(counts, u64::saturating_add);
        }
        sums
    }

    /// What the workers do, by physical queue.
    #[must_use]
    pub fn by_queue(&self) -> BTreeMap<QueueName, QueueActivity> {
        let mut sums = BTreeMap::<QueueName, Sums>::new();
        for worker in self.workers.iter().filter(|worker| worker.is_alive()) {
            for served in &worker.record.queues {
                let sums = sums.entry(served.name.clone()).or_default();
                sums.workers += 1;
                if worker.rates.is_some() {
                    sums.per_second.get_or_insert(0.0);
                }
            }
            let Some(rates) = &worker.rates else { continue };
            for (key, counts) in &rates.by_task {
                let Some(sums) = sums.get_mut(&key.queue) else { continue };
                let executed = counts.executed.total();
                *sums.per_second.get_or_insert(0.0) += rates.per_second(executed);
                sums.executed = sums.executed.saturating_add(executed);
                sums.failed = sums.failed.saturating_add(counts.executed.failed());
            }
        }
        sums.into_iter().map(|(queue, sums)| (queue, sums.activity())).collect()
    }
}

impl Sums {
    fn activity(self) -> QueueActivity {
        #[allow(clippy::cast_precision_loss, reason = "a share for people")]
        let share = || self.failed as f64 / self.executed as f64;
        QueueActivity {
            workers: self.workers,
            executed_per_second: self.per_second,
            failed: (self.executed > 0).then(share),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Execution;
    use crate::name::TaskName;
    use crate::presence::{Rates, Record};

    const NOW: u64 = 1_700_000_100_000;

    /// A worker that has run so many tasks and failed at so many, within ten seconds.
    fn worker(ok: u64, failed: u64, liveness: Liveness) -> HeardWorker {
        let key = TaskKey {
            queue: QueueName::new("mail").unwrap(),
            task: TaskName::new("mail.send").unwrap(),
        };
        let mut counts = TaskCounts { started: ok + failed, ..TaskCounts::default() };
        counts.executed.add(Execution::Ok, ok);
        counts.executed.add(Execution::Error, failed);
        let mut record = Record::sample("mail");
        record.counts.insert(key.clone(), counts.clone());
        (record.started, record.up) = (NOW - 60_000, Duration::from_secs(50));
        let over = Duration::from_secs(10);
        let rates = Rates { over, has_gap: false, by_task: [(key, counts)].into() };
        let silence = Duration::from_secs(2);
        HeardWorker { record, liveness, silence, missed: 0, rates: Some(rates) }
    }

    fn heard(workers: Vec<HeardWorker>) -> Heard {
        Heard { workers, ..Heard::default() }
    }

    fn activity(workers: Vec<HeardWorker>) -> QueueActivity {
        heard(workers).by_queue()[&QueueName::new("mail").unwrap()]
    }

    #[test]
    fn rates_of_all_workers_are_added() {
        let workers = vec![worker(20, 0, Liveness::Alive), worker(10, 10, Liveness::Alive)];
        let expected =
            QueueActivity { workers: 2, executed_per_second: Some(4.0), failed: Some(0.25) };
        assert_eq!(activity(workers), expected);
    }

    #[test]
    fn workers_that_are_silent_or_gone_do_nothing_now_but_their_counts_remain() {
        for liveness in [Liveness::Silent, Liveness::Gone] {
            let workers = vec![worker(20, 0, Liveness::Alive), worker(10, 10, liveness)];
            assert_eq!(activity(workers.clone()).executed_per_second, Some(2.0), "{liveness:?}");
            let counts = heard(workers).counts();
            assert_eq!(counts.values().next().unwrap().started, 40, "{liveness:?}");
        }
    }

    #[test]
    fn rates_are_unknown_until_a_worker_was_heard_twice() {
        let worker = HeardWorker { rates: None, ..worker(1, 0, Liveness::Alive) };
        let expected = QueueActivity { workers: 1, executed_per_second: None, failed: None };
        assert_eq!(activity(vec![worker]), expected);
    }

    #[test]
    fn clocks_are_compared_at_the_time_of_the_record() {
        let worker = worker(0, 0, Liveness::Alive);
        assert_eq!(worker.clock_difference(NOW), Duration::from_secs(8));
        assert_eq!(worker.clock_difference(NOW - 8_000), Duration::ZERO);
        assert_eq!(worker.clock_difference(NOW - 10_000), Duration::from_secs(2));
    }
}
