//! Everything that was counted, at one time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::event::Part;
use crate::name::{QueueName, TaskName};

use super::counts::{Combine, NoticeCounts, QueueCounts, ResultTimes, SendCounts, TaskCounts};
use super::labels::{Labels, TaskKey};
use super::requests::{RequestKind, RequestTimes};

/// What machines have counted since they started, and their present state. Counts saturate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Snapshot {
    /// What workers count, by queue and task.
    pub tasks: BTreeMap<TaskKey, TaskCounts>,
    /// What workers count, by queue.
    pub queues: BTreeMap<QueueName, QueueCounts>,
    /// The slots of all workers: how many handlers may run.
    pub slots: u64,
    /// The notices of workers.
    pub notices: NoticeCounts,
    /// Calls sent, or not, by queue and task.
    pub sent: BTreeMap<TaskKey, SendCounts>,
    /// Posts repeated because a reply was lost, by queue.
    pub resends: BTreeMap<QueueName, u64>,
    /// From a call until its result, by task.
    pub results: BTreeMap<TaskName, ResultTimes>,
    /// Calls whose results are pending.
    pub calls_waiting: u64,
    /// Calls that are not sent yet.
    pub outbox_calls: u64,
    /// Requests to the queue and the notifier, including their replies.
    pub requests: BTreeMap<RequestKind, RequestTimes>,
    /// The parts that keep failing.
    pub degraded: BTreeSet<Part>,
    /// How far the clock of this host and that of the queue's server are apart, if the server told
    /// its time when the worker started, and this host's clock was not set since.
    pub clock_skew: Option<Duration>,
    /// The names of the backends, if the adapter knows them.
    pub backends: Option<Backends>,
}

/// The names of the backends, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backends {
    /// The queue's.
    pub queue: &'static str,
    /// The notifier's, if there is one.
    pub notifier: Option<&'static str>,
}

impl Backends {
    /// Backends of these names.
    #[must_use]
    pub const fn new(queue: &'static str, notifier: Option<&'static str>) -> Self {
        Backends { queue, notifier }
    }
}

impl Snapshot {
    /// Adds what another machine has counted. Beyond the limits of labels, its queues and tasks
    /// count as [`OTHER`](super::OTHER).
    pub fn add(&mut self, other: &Snapshot) {
        let mut labels = self.labels();
        let add = u64::saturating_add;
        for (key, counts) in &other.tasks {
            self.tasks.entry(labels.key(key)).or_default().combine(counts, add);
        }
        for (queue, counts) in &other.queues {
            self.queues.entry(labels.queue(queue)).or_default().add(counts);
        }
        self.slots = add(self.slots, other.slots);
        self.notices.combine(&other.notices, add);
        for (key, counts) in &other.sent {
            self.sent.entry(labels.key(key)).or_default().combine(counts, add);
        }
        for (queue, count) in &other.resends {
            let sum = self.resends.entry(labels.queue(queue)).or_default();
            *sum = add(*sum, *count);
        }
        for (task, times) in &other.results {
            self.results.entry(labels.task(task)).or_default().combine(times, add);
        }
        self.calls_waiting = add(self.calls_waiting, other.calls_waiting);
        self.outbox_calls = add(self.outbox_calls, other.outbox_calls);
        for (kind, times) in &other.requests {
            self.requests.entry(*kind).or_default().combine(times, add);
        }
        self.degraded.extend(other.degraded.iter().cloned());
        self.clock_skew = self.clock_skew.max(other.clock_skew);
        self.backends = self.backends.or(other.backends);
    }

    /// Adds what a machine has counted that exists no longer: without its state.
    pub fn add_ended(&mut self, ended: &Snapshot) {
        let mut ended = ended.clone();
        ended.queues.values_mut().for_each(QueueCounts::clear_gauges);
        (ended.slots, ended.calls_waiting, ended.outbox_calls) = (0, 0, 0);
        ended.degraded.clear();
        ended.clock_skew = None;
        self.add(&ended);
    }

    /// The labels in use.
    fn labels(&self) -> Labels {
        let mut labels = Labels::default();
        for key in self.tasks.keys().chain(self.sent.keys()) {
            labels.key(key);
        }
        for queue in self.queues.keys().chain(self.resends.keys()) {
            labels.queue(queue);
        }
        for task in self.results.keys() {
            labels.task(task);
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{MOST_TASKS, OTHER};

    fn key(task: &str) -> TaskKey {
        TaskKey { queue: QueueName::new("q").unwrap(), task: TaskName::new(task).unwrap() }
    }

    fn worker(task: &str) -> Snapshot {
        let mut snapshot = Snapshot { slots: 10, ..Snapshot::default() };
        snapshot.tasks.entry(key(task)).or_default().started = 2;
        let counts = QueueCounts { reserved: 3, running: 1, ..QueueCounts::default() };
        snapshot.queues.insert(QueueName::new("q").unwrap(), counts);
        snapshot
    }

    #[test]
    fn counts_of_an_ended_worker_remain_and_its_state_does_not() {
        let mut snapshot = worker("a");
        snapshot.add_ended(&worker("a"));
        assert_eq!((snapshot.slots, snapshot.tasks[&key("a")].started), (10, 4));
        let queue = &snapshot.queues["q"];
        assert_eq!((queue.reserved, queue.running), (6, 1));
    }

    #[test]
    fn tasks_of_many_workers_stay_within_the_limit() {
        let mut snapshot = Snapshot::default();
        for number in 0..MOST_TASKS + 10 {
            snapshot.add(&worker(&format!("t{number}")));
        }
        assert_eq!(snapshot.tasks.len(), MOST_TASKS + 1);
        assert_eq!(snapshot.tasks[&key(OTHER)].started, 20);
    }
}
