//! What the worker has counted, and its present state.

use std::time::Duration;

use crate::metrics::{QueueCounts, Snapshot};
use crate::name::QueueName;
use crate::time::Moment;

use super::Worker;
use super::job::Stage;

impl Worker {
    /// What the worker has counted since its start, and its state at `now`.
    #[must_use]
    pub fn metrics(&self, now: Moment) -> Snapshot {
        let now = self.fx.now.max(now);
        let mut snapshot = Snapshot {
            tasks: self.counts_by_task(),
            queues: self.fx.meter.by_queue(),
            notices: self.fx.meter.notices().clone(),
            slots: self.config.concurrency as u64,
            requests: self.fx.requests.by_kind(),
            degraded: self.fx.degraded.parts().cloned().collect(),
            clock_skew: self.server_clock.map(|server| {
                let own = self.fx.wall;
                own.ahead_of(server).max(server.ahead_of(own))
            }),
            ..Snapshot::default()
        };
        let mut queue = |name: &QueueName, change: &dyn Fn(&mut QueueCounts)| {
            change(snapshot.queues.entry(self.fx.meter.label(name)).or_default());
        };
        let runs = |counts: &mut QueueCounts, for_how_long: Duration| {
            counts.running += 1;
            counts.longest_running = counts.longest_running.max(for_how_long);
        };
        for held in self.jobs.values() {
            queue(&held.queue, &|counts| counts.held += 1);
            if let Stage::Running { started_at, .. } = held.stage {
                let running = now.since(started_at);
                queue(&held.queue, &|counts| runs(counts, running));
            }
        }
        for job in self.without_lease.values() {
            let running = now.since(job.started_at);
            queue(&job.task.queue, &|counts| runs(counts, running));
        }
        snapshot
    }
}
