//! The builder of a worker.

use std::fmt;
use std::time::Duration;

use ivy_proto::Backoff;
use ivy_proto::task::{RegisterError, States};
use ivy_proto::worker::{self, ReplayWindow, WorkerSetup};

use crate::error::Error;
use crate::handlers::{Adapter, Handlers};
use crate::health::{HealthAddress, HealthListener};
use crate::ivy::Ivy;
use crate::random::random;
use crate::worker::{Worker, start};

/// The default time limit of the drain of a dropped worker.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// How many handlers a test may run at a time.
const TEST_HANDLERS: usize = 100;

/// Configures a worker and starts it. Created by [`Ivy::worker`].
///
/// Errors in a name or a number are reported by [`start`](WorkerBuilder::start).
#[must_use = "a worker serves nothing until it is started"]
pub struct WorkerBuilder<R: Adapter> {
    ivy: Ivy<R>,
    handlers: R::Handlers,
    states: States,
    setup: WorkerSetup,
    drain_limit: Duration,
    health: HealthAddress,
}

impl<R: Adapter> Ivy<R> {
    /// Starts to configure a worker.
    pub fn worker(&self) -> WorkerBuilder<R> {
        WorkerBuilder {
            ivy: self.clone(),
            handlers: R::Handlers::default(),
            states: States::new(),
            setup: WorkerSetup::new(self.worker_config()),
            drain_limit: DRAIN_LIMIT,
            health: HealthAddress::default(),
        }
    }
}

impl<R: Adapter> WorkerBuilder<R> {
    /// Registers the handler of a task.
    pub(crate) fn handler(
        mut self,
        register: impl FnOnce(&mut R::Handlers) -> Result<(), RegisterError>,
    ) -> Self {
        self.setup.registered(register(&mut self.handlers));
        self
    }

    /// Adds a value that handlers take as a parameter of type [`State<T>`](ivy_proto::task::State),
    /// before their context and their arguments: a database pool, a client, settings. A worker may
    /// have several, each of another type, and they may be added before or after the handlers.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.setup.registered(self.states.add(value));
        self
    }

    /// The queue of the tasks that are registered by name.
    pub fn queue(mut self, queue: &str) -> Self {
        self.setup.queue(queue);
        self
    }

    /// The number of handlers that run concurrently; in the blocking adapter, each in a thread of
    /// its own. Default: 10.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.setup.concurrency(handlers);
        self
    }

    /// How long messages are reserved; the lease of a running task is renewed. After a crash,
    /// messages return to the queue when their leases end. Default: 30 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.setup.lease(lease);
        self
    }

    /// The lease for messages of the task of this name.
    pub fn reserve_time(mut self, task: &str, time: Duration) -> Self {
        self.setup.reserve_time(task, time);
        self
    }

    /// Serves this route too, for all tasks.
    pub fn route(mut self, route: &str) -> Self {
        self.setup.route(route);
        self
    }

    /// The weight of a queue or route: its share of the free slots while several have messages.
    /// Default: 1 each.
    pub fn weight(mut self, queue: &str, weight: u32) -> Self {
        self.setup.weight(queue, weight);
        self
    }

    /// Serves these priorities, 0 to 9, in addition to those of the registered tasks: a call may
    /// override the priority of its task.
    pub fn priorities(mut self, priorities: impl IntoIterator<Item = u8>) -> Self {
        self.setup.priorities(priorities);
        self
    }

    /// How long a failed task waits for its next attempt. Default: a random time of up to 1 s,
    /// doubled with each attempt, at most 300 s. IronMQ rounds up to whole seconds.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.setup.backoff(backoff);
        self
    }

    /// Moves a message to the dead-letter queue after this many lost deliveries, because its task
    /// may be crashing the workers. A delivery is lost if its worker crashes or its lease ends.
    /// Renewals, failed attempts and deliberate releases, as by a drain, do not count. After half
    /// as many, the message runs alone. Default: 10. Minimum: 2.
    ///
    /// IronMQ's own count includes renewals. There, a task that allows no retries is moved when
    /// that count exceeds five times this number, and up to 5 of the first lost deliveries of any
    /// other task are not counted.
    pub fn max_deliveries(mut self, deliveries: u32) -> Self {
        self.setup.max_deliveries(deliveries);
        self
    }

    /// How often the handler of a task may postpone it with [`TaskError::later`]. Each time the task
    /// runs again without counting an attempt; after that, such an error counts as a failed attempt.
    /// With 0, each one does. Default: 1,000.
    ///
    /// [`TaskError::later`]: ivy_proto::TaskError::later
    pub fn max_later(mut self, times: u32) -> Self {
        self.setup.max_later(times);
        self
    }

    /// Remembers finished messages and deletes them without running them again if they are
    /// delivered again: after a lost reply, or because a client posted a copy. Only authenticated
    /// messages (bridge and v2 frames) can be recognized. The memory is local to this worker.
    /// Default: none.
    pub fn replay_window(mut self, window: ReplayWindow) -> Self {
        self.setup.replay_window(window);
        self
    }

    /// Whether the worker publishes presence records for `ivy workers` and dashboards, if there is
    /// a notifier: its state, queues, task names, running tasks and counts, every 15 s, or every
    /// 2 s while somebody listens. Records are encrypted like the messages of its queues. Default:
    /// `true`.
    pub fn presence(mut self, enabled: bool) -> Self {
        self.setup.presence(enabled);
        self
    }

    /// Whether its presence records name the host and the process. Default: `true`.
    pub fn presence_host(mut self, enabled: bool) -> Self {
        self.setup.presence_host(enabled);
        self
    }

    /// How long running handlers may continue after the [`Worker`] was dropped. Default: 30 s.
    pub fn drain_limit(mut self, limit: Duration) -> Self {
        self.drain_limit = limit;
        self
    }

    /// Listens at this address for probes and scrapers, from the start until the worker has ended:
    /// `/livez`, `/readyz` and `/metrics` over HTTP/1.1. Write an IP address and a port, such as
    /// `127.0.0.1:9464`, or `0.0.0.0:9464` to be reached from other hosts;
    /// [`Worker::health_address`] returns the port that was chosen for 0. Default: the variable
    /// `IVY_HEALTH`, else none.
    ///
    /// `/livez` is 503 if the worker's loop hangs, whatever its servers do. `/readyz` is 503, and
    /// names the cause, while the worker drains or none of its queues answers. Each page is answered
    /// to everybody who reaches the port, and contains names of queues and tasks. At most 16
    /// connections are open, for a few seconds each.
    ///
    /// The listener runs in the worker's runtime: a handler that blocks all threads of the runtime
    /// delays it too.
    pub fn health(mut self, address: &str) -> Self {
        self.health = HealthAddress::given(address);
        self
    }

    /// Prepares its handlers to be run by a test, without a worker.
    pub(crate) fn for_test(mut self) -> Self {
        self.handlers.set_concurrency(TEST_HANDLERS);
        self
    }

    /// Gives the handlers the states that were added so far, as the start of a worker does.
    ///
    /// # Errors
    /// If a handler takes one that is missing.
    pub(crate) fn set_states(&mut self) -> Result<(), RegisterError> {
        self.handlers.set_states(self.states.clone())
    }

    pub(crate) fn ivy(&self) -> &Ivy<R> {
        &self.ivy
    }

    /// What a test runs a handler with.
    pub(crate) fn parts(&self) -> (&Ivy<R>, &R::Handlers, &WorkerSetup) {
        (&self.ivy, &self.handlers, &self.setup)
    }

    /// Starts the worker.
    pub(crate) fn run(self) -> Result<Worker<R>, Error<R>> {
        let WorkerBuilder { ivy, mut handlers, states, mut setup, drain_limit, health } = self;
        ivy.check_process()?;
        setup.registered(handlers.set_states(states));
        let config = setup.finish(handlers.tasks()).map_err(Error::config)?;
        handlers.set_concurrency(config.concurrency);
        let wall = ivy.clock().wall();
        let machine = worker::Worker::new(config, random()?, wall).map_err(Error::config)?;
        let address = health.resolve().map_err(Error::config)?;
        let listener = address.map(HealthListener::bind).transpose().map_err(Error::config)?;
        start(ivy, machine, handlers, drain_limit, listener)
    }
}

impl<R: Adapter> fmt::Debug for WorkerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder").field("handlers", &self.handlers).finish_non_exhaustive()
    }
}
