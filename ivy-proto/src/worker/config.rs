//! What a worker is told when it is made.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::name::{ChannelName, InvalidName, Priority, QueueName, TaskName};
use crate::queue::{Capabilities, Lease, NameNotForBackend};
use crate::retry::Backoff;
use crate::task::TaskSettings;
use crate::wire::Codec;

use super::lease::UNTIMED;
use super::replay_window::ReplayWindow;

/// How many bytes of notices a worker keeps.
const NOTICE_BYTES: usize = 16 << 20;
/// The most handlers that one worker may run at a time.
const MOST_SLOTS: usize = 100_000;

/// What a worker serves, and how. Made with [`WorkerConfig::new`], then narrowed by value; checked
/// as a whole by [`Worker::new`](super::Worker::new).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// What the queue backend can do.
    pub capabilities: Capabilities,
    /// How the bodies of the queues are written and read.
    pub codec: Codec,
    /// The channel that peers of the original share, and the prefix of reply channels. `None`:
    /// there is no notifier.
    pub notifier: Option<ChannelName>,
    /// The tasks that have a handler.
    pub tasks: BTreeMap<TaskName, TaskSettings>,
    /// Routes that are served beside the tasks' queues.
    pub routes: BTreeSet<QueueName>,
    /// The share of each queue or route when several have messages; 1 if it is not named.
    pub weights: BTreeMap<QueueName, u32>,
    /// Priorities that are served beside those of the tasks.
    pub priorities: BTreeSet<Priority>,
    /// How many handlers may run at a time.
    pub concurrency: usize,
    /// How long a message is reserved before it must be touched.
    pub lease: Duration,
    /// Leases of single tasks; they win over the tasks' own `reserve_time`.
    pub reserve_times: BTreeMap<TaskName, Duration>,
    /// How long a failed task waits for its next attempt.
    pub backoff: Backoff,
    /// After how many lost deliveries a message is moved to the dead-letter queue. A delivery is
    /// lost when its worker crashes or its lease ends; renewals, failed attempts and releases on
    /// purpose do not count. After half as many the message runs alone.
    pub max_deliveries: u32,
    /// Whether messages that this worker has done already are deleted without being run again, where
    /// they are authenticated.
    pub replay_window: Option<ReplayWindow>,
    /// Whether a queue that does not exist yet is created, so that it can be waited on. Without
    /// it, such a queue is asked again at growing intervals.
    pub creates_queues: bool,
    /// The most bytes of notices that wait to be published or for the answer of the notifier.
    pub notice_bytes: usize,
}

impl WorkerConfig {
    /// A worker for a backend that can do this, whose bodies are written and read so. It serves no
    /// task yet.
    #[must_use]
    pub fn new(capabilities: Capabilities, codec: Codec) -> Self {
        WorkerConfig {
            capabilities,
            codec,
            notifier: None,
            tasks: BTreeMap::new(),
            routes: BTreeSet::new(),
            weights: BTreeMap::new(),
            priorities: BTreeSet::new(),
            concurrency: 10,
            lease: Duration::from_secs(30),
            reserve_times: BTreeMap::new(),
            backoff: Backoff::ATTEMPTS,
            max_deliveries: 10,
            replay_window: None,
            creates_queues: true,
            notice_bytes: NOTICE_BYTES,
        }
    }

    /// Publish results, on this shared channel and on reply channels under its name.
    #[must_use]
    pub fn with_notifier(mut self, channel: ChannelName) -> Self {
        self.notifier = Some(channel);
        self
    }

    /// Serve this task.
    #[must_use]
    pub fn with_task(mut self, name: TaskName, settings: TaskSettings) -> Self {
        self.tasks.insert(name, settings);
        self
    }

    /// Serve the tasks also on this route.
    #[must_use]
    pub fn with_route(mut self, route: QueueName) -> Self {
        self.routes.insert(route);
        self
    }

    /// Give this queue or route a larger share than 1.
    #[must_use]
    pub fn with_weight(mut self, queue: QueueName, weight: u32) -> Self {
        self.weights.insert(queue, weight);
        self
    }

    /// Serve this priority too, though no registered task has it.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priorities.insert(priority);
        self
    }

    /// Run up to so many handlers at a time.
    #[must_use]
    pub fn with_concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// Reserve messages for so long before they must be touched.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Reserve the messages of this task for so long.
    #[must_use]
    pub fn with_reserve_time(mut self, task: TaskName, lease: Duration) -> Self {
        self.reserve_times.insert(task, lease);
        self
    }

    /// Let failed tasks wait so for their next attempt.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Move messages to the dead-letter queue after so many lost deliveries.
    #[must_use]
    pub fn with_max_deliveries(mut self, deliveries: u32) -> Self {
        self.max_deliveries = deliveries;
        self
    }

    /// Delete messages that this worker has done already without running them again, as long as it
    /// remembers them. Only authenticated messages can be told from each other.
    #[must_use]
    pub fn with_replay_window(mut self, window: ReplayWindow) -> Self {
        self.replay_window = Some(window);
        self
    }

    /// Leave it to others to create the queues.
    #[must_use]
    pub fn without_creating_queues(mut self) -> Self {
        self.creates_queues = false;
        self
    }

    /// Keep up to so many bytes of notices while the notifier cannot be reached or does not answer,
    /// half of them under way. Beyond that the oldest that waits is dropped; the newest is always
    /// kept, also if it alone is larger. Default: 16 MiB.
    #[must_use]
    pub fn with_notice_bytes(mut self, bytes: usize) -> Self {
        self.notice_bytes = bytes;
        self
    }

    /// The lease of this task's messages.
    pub(super) fn lease_of(&self, task: &TaskName, settings: &TaskSettings) -> Duration {
        self.reserve_times.get(task).copied().or(settings.reserve_time).unwrap_or(self.lease)
    }

    /// All leases that are asked for.
    pub(super) fn leases(&self) -> impl Iterator<Item = Duration> {
        let own = self.tasks.values().filter_map(|settings| settings.reserve_time);
        self.reserve_times.values().copied().chain(own).chain([self.lease])
    }

    /// The same, as the backend has it: where leases are those of a connection, none ends by time.
    pub(super) fn fitted(mut self) -> Self {
        if self.capabilities.lease == Lease::Connection {
            self.lease = UNTIMED;
            self.reserve_times.clear();
            for settings in self.tasks.values_mut() {
                settings.reserve_time = None;
            }
        }
        self
    }

    /// The physical queues to be served, most urgent first.
    pub(super) fn served(&self) -> Result<Vec<ServedQueue>, InvalidConfig> {
        let mut wanted: BTreeSet<(QueueName, Priority)> = BTreeSet::new();
        let mut priorities = self.priorities.clone();
        for settings in self.tasks.values() {
            wanted.insert((settings.queue.clone(), Priority::NORMAL));
            wanted.insert((settings.queue.clone(), settings.priority));
            priorities.insert(settings.priority);
            wanted.extend(self.priorities.iter().map(|p| (settings.queue.clone(), *p)));
        }
        for route in &self.routes {
            wanted.insert((route.clone(), Priority::NORMAL));
            wanted.extend(priorities.iter().map(|p| (route.clone(), *p)));
        }
        let mut served = Vec::new();
        for (queue, priority) in wanted {
            let weight = self.weights.get(&queue).copied().unwrap_or(1);
            let name = queue.with_priority(priority).map_err(InvalidConfig::QueueName)?;
            name.dead_letters().map_err(InvalidConfig::QueueName)?;
            served.push(ServedQueue { name, priority, weight });
        }
        served.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        Ok(served)
    }

    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        if self.tasks.is_empty() {
            return Err(InvalidConfig::NoTask);
        }
        if self.concurrency == 0 || self.concurrency > MOST_SLOTS {
            return Err(InvalidConfig::Concurrency(self.concurrency));
        }
        if self.max_deliveries < 2 {
            return Err(InvalidConfig::MaxDeliveries(self.max_deliveries));
        }
        if let Lease::Timed { shortest, longest, .. } = self.capabilities.lease {
            for lease in self.leases() {
                if lease < shortest || lease > longest {
                    return Err(InvalidConfig::Lease { lease, shortest, longest });
                }
            }
        }
        let own = self.tasks.values().map(|settings| &settings.queue);
        for queue in own.chain(&self.routes) {
            self.capabilities.check_name(queue)?;
            // The longest name that ivy makes of it, whatever priorities come.
            let longest = queue.with_priority(Priority::HIGHEST);
            self.capabilities.check_name(&longest.map_err(InvalidConfig::QueueName)?)?;
        }
        if let Some((queue, _)) = self.weights.iter().find(|(_, weight)| **weight == 0) {
            return Err(InvalidConfig::Weight(queue.clone()));
        }
        if let Some(task) = self.reserve_times.keys().find(|task| !self.tasks.contains_key(*task)) {
            return Err(InvalidConfig::ReserveTimeOfUnknownTask(task.clone()));
        }
        let is_served = |queue: &QueueName| {
            self.routes.contains(queue) || self.tasks.values().any(|task| task.queue == *queue)
        };
        if let Some(queue) = self.weights.keys().find(|queue| !is_served(queue)) {
            return Err(InvalidConfig::WeightOfUnservedQueue(queue.clone()));
        }
        let served = self.served()?;
        for one in &served {
            let dead = one.name.dead_letters().map_err(InvalidConfig::QueueName)?;
            if served.iter().any(|other| other.name == dead) {
                return Err(InvalidConfig::ServesDeadLetters(dead));
            }
        }
        Ok(())
    }
}

/// A physical queue that a worker polls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServedQueue {
    pub(super) name: QueueName,
    pub(super) priority: Priority,
    pub(super) weight: u32,
}

/// A worker's configuration breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// No task is registered.
    #[error("the worker has no task; register at least one handler before starting it")]
    NoTask,
    /// Too few or too many handlers at a time.
    #[error("concurrency must be from 1 to {MOST_SLOTS}, not {0}")]
    Concurrency(usize),
    /// A message would be put aside before it had a chance.
    #[error("max_deliveries must be at least 2, not {0}: one crash would put a message aside")]
    MaxDeliveries(u32),
    /// The backend does not grant such a lease.
    #[error("a lease (reserve time) must be from {shortest:?} to {longest:?}, not {lease:?}")]
    Lease {
        /// The lease that was asked for.
        lease: Duration,
        /// The shortest that the backend grants.
        shortest: Duration,
        /// The longest that the backend grants.
        longest: Duration,
    },
    /// A queue would get no share at all.
    #[error("the weight of queue {0} must be at least 1")]
    Weight(QueueName),
    /// A lease is given for a task without a handler.
    #[error("task {0} has a reserve time and no handler here; check its name")]
    ReserveTimeOfUnknownTask(TaskName),
    /// A share is given to a queue that is not served.
    #[error("queue {0} has a weight and is not served here; check its name, or name it as a route")]
    WeightOfUnservedQueue(QueueName),
    /// A queue's dead letters would be run again.
    #[error(
        "queue {0} keeps the dead letters of another queue that is served too; serve one of them with another worker"
    )]
    ServesDeadLetters(QueueName),
    /// The backend cannot have a queue that is served, or the queue of its dead letters.
    #[error(transparent)]
    NameNotForBackend(#[from] NameNotForBackend),
    /// A queue's name is too long with its suffix.
    #[error("a queue's name cannot carry the suffix for priority or dead letters: {0}")]
    QueueName(InvalidName),
}
