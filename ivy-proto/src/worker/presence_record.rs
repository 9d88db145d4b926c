//! Writes the record of a worker's state.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::{Part, TaskRef};
use crate::metrics::{Combine, TaskCounts, TaskKey};
use crate::presence::{Degraded, More, QueuePresence, Record, RunningTask, ShortText, WorkerState};

use super::Worker;
use super::job::Stage;

/// How many of the running tasks are listed.
const LONGEST: usize = 20;

impl Worker {
    /// The record of the present state; `None` if the worker publishes none.
    pub(super) fn presence_record(&self, state: WorkerState) -> Option<Record> {
        let presence = self.presence.as_ref()?;
        let up = self.fx.now.since(presence.started);
        let record = Record {
            worker: presence.worker,
            seq: presence.seq,
            state,
            identity: presence.identity.clone(),
            started: self.fx.wall.unix_millis(presence.started),
            up: whole_millis(up),
            slots: self.config.concurrency as u64,
            running: (self.running + self.without_lease.len()) as u64,
            held: self.jobs.len() as u64,
            degraded: self.degraded_parts(),
            queues: self.served_queues(),
            tasks: self.config.tasks.keys().cloned().collect(),
            more: More::default(),
            longest: self.longest_running(),
            counts: self.counts_by_task(),
        };
        Some(record.fitted())
    }

    fn degraded_parts(&self) -> Vec<Degraded> {
        let parts = self.fx.degraded.iter();
        parts
            .map(|(part, why)| Degraded {
                part: part.clone(),
                why: ShortText::lossy(&why.to_string()),
            })
            .collect()
    }

    fn served_queues(&self) -> Vec<QueuePresence> {
        let fails = |queue: &_| {
            let parts = [Part::Queue, Part::Messages].map(|part| part(Clone::clone(queue)));
            self.fx.degraded.parts().any(|failing| parts.contains(failing))
        };
        let queue = |name| QueuePresence { name: Clone::clone(name), is_degraded: fails(name) };
        self.poller.names().map(queue).collect()
    }

    fn longest_running(&self) -> Vec<RunningTask> {
        let held = self.jobs.values().filter_map(|held| match (&held.stage, &held.scheduled) {
            (Stage::Running { started_at, .. }, Some(scheduled)) => {
                Some((*started_at, &scheduled.task, scheduled.attempt))
            }
            _ => None,
        });
        let without_lease = self.without_lease.values();
        let without_lease = without_lease.map(|job| (job.started_at, &job.task, job.attempt));
        let mut running: Vec<_> = held.chain(without_lease).collect();
        let order = |(started_at, task, _): &(_, &TaskRef, _)| (*started_at, task.id);
        if running.len() > LONGEST {
            running.select_nth_unstable_by_key(LONGEST, order);
            running.truncate(LONGEST);
        }
        running.sort_unstable_by_key(order);
        let running = running.into_iter().map(|(started_at, task, attempt)| RunningTask {
            task: task.clone(),
            attempt,
            running: whole_millis(self.fx.now.since(started_at)),
        });
        running.collect()
    }

    /// What was counted, by the labels of tasks.
    pub(super) fn counts_by_task(&self) -> BTreeMap<TaskKey, TaskCounts> {
        let mut by_task = BTreeMap::<TaskKey, TaskCounts>::new();
        for (key, counts) in self.fx.meter.by_task() {
            by_task.entry(key.clone()).or_default().combine(counts, u64::saturating_add);
        }
        by_task
    }
}

/// As a record contains it.
fn whole_millis(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
