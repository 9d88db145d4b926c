//! The health of the worker.

use std::time::Duration;

use crate::event::Part;
use crate::health::{Liveness, QueueHealth, State, WorkerHealth};
use crate::name::QueueName;
use crate::time::Moment;

use super::effects::OpPurpose;
use super::{Mode, Worker};

impl Worker {
    /// The worker's health at `now`, if the loop that drives it runs.
    #[must_use]
    pub fn health(&self, now: Moment) -> WorkerHealth {
        let now = self.fx.now.max(now);
        let queues = self.poller.iter().map(|(name, queue)| QueueHealth {
            name: name.clone(),
            last_reply: queue.answered_at.map(|at| now.since(at)),
            polling: self.oldest_poll(name, now),
            trouble: queue.trouble,
        });
        let parts = self.fx.degraded.parts().filter(|part| !matches!(part, Part::Queue(_)));
        WorkerHealth {
            state: self.health_state(),
            liveness: Liveness::Running,
            slots: self.config.concurrency as u64,
            running: (self.running + self.without_lease.len()) as u64,
            held: self.jobs.len() as u64,
            queues: queues.collect(),
            degraded: parts.cloned().collect(),
            touch_lag: self.touch_lag,
            probes: None,
        }
    }

    fn health_state(&self) -> State {
        match self.mode {
            Mode::New => State::Starting,
            Mode::Running => State::Running,
            Mode::Paused => State::Paused,
            Mode::Draining { .. } => State::Draining,
            Mode::Finished => State::Ended,
        }
    }

    /// How long the oldest poll of a queue has been under way.
    fn oldest_poll(&self, name: &QueueName, now: Moment) -> Option<Duration> {
        let polls = self.fx.in_flight.values().filter_map(|in_flight| match &in_flight.purpose {
            OpPurpose::Poll { queue, requested_at, .. } if queue == name => Some(*requested_at),
            _ => None,
        });
        polls.min().map(|since| now.since(since))
    }
}
