//! The configuration of a worker.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::name::{ChannelName, InvalidName, Priority, QueueName, TaskName};
use crate::presence::Identity;
use crate::queue::{Capabilities, Lease, NameNotForBackend};
use crate::retry::Backoff;
use crate::task::TaskSettings;
use crate::wire::Codec;

use super::lease::UNTIMED;
use super::replay_window::ReplayWindow;
use super::trace_relation::TraceRelation;

/// The default bound on the bytes of unpublished notices.
const NOTICE_BYTES: usize = 16 << 20;
/// How often a handler may postpone a task by default: often enough for a task that waits for
/// hours, and seldom enough that a mistake ends.
const MAX_LATER: u32 = 1_000;
/// The highest concurrency of one worker.
const MAX_SLOTS: usize = 100_000;

/// The configuration of a worker. Create it with [`WorkerConfig::new`] and refine it with the
/// `with_` methods; [`Worker::new`](super::Worker::new) validates it as a whole.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerConfig {
    /// What the queue backend can do.
    pub capabilities: Capabilities,
    /// How message bodies are encoded and decoded.
    pub codec: Codec,
    /// What the log calls the queues' server: its address without credentials, or its backend.
    pub queue_server: Option<String>,
    /// The channel shared with peers of the Node package, which is also the prefix of reply
    /// channels.
    /// `None` if there is no notifier.
    pub notifier: Option<ChannelName>,
    /// The tasks that have a handler.
    pub tasks: BTreeMap<TaskName, TaskSettings>,
    /// Routes that are served in addition to the tasks' queues.
    pub routes: BTreeSet<QueueName>,
    /// The relative share of each queue or route when several have messages; the default is 1.
    pub weights: BTreeMap<QueueName, u32>,
    /// Priorities that are served in addition to those of the tasks.
    pub priorities: BTreeSet<Priority>,
    /// The maximum number of handlers that run at the same time.
    pub concurrency: usize,
    /// How long a message is reserved before its lease must be renewed.
    pub lease: Duration,
    /// Leases of single tasks; they take precedence over the tasks' own `reserve_time`.
    pub reserve_times: BTreeMap<TaskName, Duration>,
    /// The delay before a failed task's next attempt.
    pub backoff: Backoff,
    /// After this many lost deliveries a message is moved to the dead-letter queue. A delivery is
    /// lost when its worker crashes or its lease ends; renewals, failed attempts and deliberate
    /// releases do not count. After half as many the message runs alone.
    pub max_deliveries: u32,
    /// How often the handler of a task may [postpone](crate::TaskError::later) it. After that, a
    /// postponement counts as a failed attempt.
    pub max_later: u32,
    /// How long authenticated messages that this worker has completed are remembered, so that a
    /// second delivery is deleted without running it again. `None`: they are not remembered.
    pub replay_window: Option<ReplayWindow>,
    /// Whether a missing queue is created, so that it can be long-polled. Otherwise it is polled at
    /// growing intervals.
    pub creates_queues: bool,
    /// The maximum number of bytes of notices that wait to be published or are being published.
    pub notice_bytes: usize,
    /// What the worker publishes about its process in its presence records. `None`: it publishes no
    /// records.
    pub presence: Option<Identity>,
    /// Whether handlers continue the traces of their callers.
    pub trace_relation: TraceRelation,
}

impl WorkerConfig {
    /// A configuration for a backend with these capabilities, whose message bodies use this codec.
    /// It serves no task yet.
    #[must_use]
    pub fn new(capabilities: Capabilities, codec: Codec) -> Self {
        WorkerConfig {
            capabilities,
            codec,
            queue_server: None,
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
            max_later: MAX_LATER,
            replay_window: None,
            creates_queues: true,
            notice_bytes: NOTICE_BYTES,
            presence: None,
            trace_relation: TraceRelation::default(),
        }
    }

    /// Sets what the log calls the queues' server: its address, such as `broker://10.0.0.7:6379`, or
    /// its backend. It must not contain credentials.
    #[must_use]
    pub fn with_queue_server(mut self, server: impl Into<String>) -> Self {
        self.queue_server = Some(server.into());
        self
    }

    /// Publishes results, on this shared channel and on reply channels under its name.
    #[must_use]
    pub fn with_notifier(mut self, channel: ChannelName) -> Self {
        self.notifier = Some(channel);
        self
    }

    /// Serves this task.
    #[must_use]
    pub fn with_task(mut self, name: TaskName, settings: TaskSettings) -> Self {
        self.tasks.insert(name, settings);
        self
    }

    /// Serves the tasks on this route as well.
    #[must_use]
    pub fn with_route(mut self, route: QueueName) -> Self {
        self.routes.insert(route);
        self
    }

    /// Sets the relative share of this queue or route; the default is 1.
    #[must_use]
    pub fn with_weight(mut self, queue: QueueName, weight: u32) -> Self {
        self.weights.insert(queue, weight);
        self
    }

    /// Serves this priority as well, even if no registered task has it.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priorities.insert(priority);
        self
    }

    /// Runs up to this many handlers at the same time. Default: 10.
    #[must_use]
    pub fn with_concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// Reserves messages for this long before their lease must be renewed. Default: 30 s.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Reserves the messages of this task for this long.
    #[must_use]
    pub fn with_reserve_time(mut self, task: TaskName, lease: Duration) -> Self {
        self.reserve_times.insert(task, lease);
        self
    }

    /// Sets the delays before the next attempts of failed tasks.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Moves messages to the dead-letter queue after this many lost deliveries. Default: 10.
    #[must_use]
    pub fn with_max_deliveries(mut self, deliveries: u32) -> Self {
        self.max_deliveries = deliveries;
        self
    }

    /// Lets the handler of a task [postpone](crate::TaskError::later) it this often. After that, a
    /// postponement counts as a failed attempt; with 0, each one does. Default: 1,000.
    #[must_use]
    pub fn with_max_later(mut self, times: u32) -> Self {
        self.max_later = times;
        self
    }

    /// Deletes messages that this worker has completed without running them again, as long as it
    /// remembers them. Only authenticated messages can be recognized.
    #[must_use]
    pub fn with_replay_window(mut self, window: ReplayWindow) -> Self {
        self.replay_window = Some(window);
        self
    }

    /// Does not create missing queues.
    #[must_use]
    pub fn without_creating_queues(mut self) -> Self {
        self.creates_queues = false;
        self
    }

    /// Retains up to this many bytes of notices while the notifier is unreachable or slow; up to
    /// half of them are in flight. Beyond that the oldest waiting notice is dropped. The newest is
    /// always retained, even if it alone is larger. Default: 16 MiB.
    #[must_use]
    pub fn with_notice_bytes(mut self, bytes: usize) -> Self {
        self.notice_bytes = bytes;
        self
    }

    /// Publishes presence records of this process, if there is a notifier.
    #[must_use]
    pub fn with_presence(mut self, identity: Identity) -> Self {
        self.presence = Some(identity);
        self
    }

    /// Sets whether handlers continue the traces of their callers, or begin traces of their own.
    #[must_use]
    pub fn with_trace_relation(mut self, relation: TraceRelation) -> Self {
        self.trace_relation = relation;
        self
    }

    /// The channel of presence records and what they say of the process, if there are any.
    pub(super) fn presence_identity(
        &self,
    ) -> Result<Option<(ChannelName, Identity)>, InvalidConfig> {
        let (Some(prefix), Some(identity)) = (&self.notifier, &self.presence) else {
            return Ok(None);
        };
        let channel = prefix.presence().map_err(InvalidConfig::PresenceChannel)?;
        Ok(Some((channel, identity.clone())))
    }

    pub(super) fn lease_of(&self, task: &TaskName, settings: &TaskSettings) -> Duration {
        self.reserve_times.get(task).copied().or(settings.reserve_time).unwrap_or(self.lease)
    }

    /// All leases that the worker may request.
    pub(super) fn leases(&self) -> impl Iterator<Item = Duration> {
        let own = self.tasks.values().filter_map(|settings| settings.reserve_time);
        self.reserve_times.values().copied().chain(own).chain([self.lease])
    }

    /// Adapts the configuration to the backend: if leases are bound to a connection, none expires.
    pub(super) fn adapted_to_backend(mut self) -> Self {
        if self.capabilities.lease == Lease::Connection {
            self.lease = UNTIMED;
            self.reserve_times.clear();
            for settings in self.tasks.values_mut() {
                settings.reserve_time = None;
            }
        }
        self
    }

    /// The physical queues to serve, most urgent first.
    pub(super) fn served_queues(&self) -> Result<Vec<ServedQueue>, InvalidConfig> {
        let mut names: BTreeSet<(QueueName, Priority)> = BTreeSet::new();
        let mut priorities = self.priorities.clone();
        for settings in self.tasks.values() {
            names.insert((settings.queue.clone(), Priority::NORMAL));
            names.insert((settings.queue.clone(), settings.priority));
            priorities.insert(settings.priority);
            names.extend(self.priorities.iter().map(|p| (settings.queue.clone(), *p)));
        }
        for route in &self.routes {
            names.insert((route.clone(), Priority::NORMAL));
            names.extend(priorities.iter().map(|p| (route.clone(), *p)));
        }
        let mut served = Vec::new();
        for (queue, priority) in names {
            let weight = self.weights.get(&queue).copied().unwrap_or(1);
            let name = queue.with_priority(priority).map_err(InvalidConfig::QueueName)?;
            name.dead_letter_queue().map_err(InvalidConfig::QueueName)?;
            served.push(ServedQueue { name, priority, weight });
        }
        served.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.name.cmp(&b.name)));
        Ok(served)
    }

    pub(super) fn check(&self) -> Result<(), InvalidConfig> {
        if self.tasks.is_empty() {
            return Err(InvalidConfig::NoTask);
        }
        if self.concurrency == 0 || self.concurrency > MAX_SLOTS {
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
            queue.check_room_for_suffixes().map_err(InvalidConfig::QueueName)?;
            self.capabilities.check_name(queue)?;
            // The longest name that ivy derives from it, whatever the priority.
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
        let served = self.served_queues()?;
        for one in &served {
            let dead = one.name.dead_letter_queue().map_err(InvalidConfig::QueueName)?;
            if served.iter().any(|other| other.name == dead) {
                return Err(InvalidConfig::ServesDeadLetters(dead));
            }
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServedQueue {
    pub(super) name: QueueName,
    pub(super) priority: Priority,
    pub(super) weight: u32,
}

/// An invalid configuration of a worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidConfig {
    /// No task is registered.
    #[error("the worker has no task; register at least one handler before starting it")]
    NoTask,
    /// The concurrency is out of range.
    #[error("concurrency must be from 1 to {MAX_SLOTS}, not {0}")]
    Concurrency(usize),
    /// A message would be dead-lettered after a single lost delivery.
    #[error(
        "max_deliveries must be at least 2, not {0}: a single crash would move a message to the dead-letter queue"
    )]
    MaxDeliveries(u32),
    /// The backend does not support this lease.
    #[error("a lease (reserve time) must be from {shortest:?} to {longest:?}, not {lease:?}")]
    Lease {
        /// The requested lease.
        lease: Duration,
        /// The shortest lease that the backend grants.
        shortest: Duration,
        /// The longest lease that the backend grants.
        longest: Duration,
    },
    /// The weight of a queue is 0.
    #[error("the weight of queue {0} must be at least 1")]
    Weight(QueueName),
    /// A lease is configured for a task without a handler.
    #[error("task {0} has a reserve time but no handler in this worker; check its name")]
    ReserveTimeOfUnknownTask(TaskName),
    /// A weight is configured for a queue that is not served.
    #[error("queue {0} has a weight but is not served; check its name, or add it as a route")]
    WeightOfUnservedQueue(QueueName),
    /// A served queue is the dead-letter queue of another one, so its dead letters would run again.
    #[error(
        "queue {0} is the dead-letter queue of another served queue; serve one of them with another worker"
    )]
    ServesDeadLetters(QueueName),
    /// The backend cannot represent the name of a served queue or of its dead-letter queue.
    #[error(transparent)]
    NameNotForBackend(#[from] NameNotForBackend),
    /// The notification channel's name is too long for the presence channel.
    #[error(
        "the notification channel's name is too long for the suffix of the presence channel: {0}; choose a shorter one"
    )]
    PresenceChannel(InvalidName),
    /// A queue's name is too long with the suffix that ivy adds.
    #[error("the name of a queue is too long for the suffix of its priority or dead letters: {0}")]
    QueueName(InvalidName),
}
