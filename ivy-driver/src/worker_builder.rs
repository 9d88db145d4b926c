//! What a worker serves, and how.

use std::fmt;
use std::time::Duration;

use ivy_proto::Backoff;
use ivy_proto::task::RegisterError;
use ivy_proto::worker::{self, ReplayWindow, WorkerSetup};

use crate::error::Error;
use crate::handlers::{Adapter, Handlers};
use crate::ivy::Ivy;
use crate::random::random;
use crate::worker::{Worker, start};

/// How long a worker that is dropped may take to drain, unless said otherwise.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// Says what a worker serves, and how, and starts it. Made by [`Ivy::worker`].
///
/// What is wrong with a name or a number is told by [`start`](WorkerBuilder::start).
#[must_use = "a worker serves nothing until it is started"]
pub struct WorkerBuilder<R: Adapter> {
    ivy: Ivy<R>,
    handlers: R::Handlers,
    setup: WorkerSetup,
    drain_limit: Duration,
}

impl<R: Adapter> Ivy<R> {
    /// Says what a worker serves, and starts it.
    pub fn worker(&self) -> WorkerBuilder<R> {
        WorkerBuilder {
            ivy: self.clone(),
            handlers: R::Handlers::default(),
            setup: WorkerSetup::new(self.worker_config()),
            drain_limit: DRAIN_LIMIT,
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

    /// The queue of the tasks that are registered by name.
    pub fn queue(mut self, queue: &str) -> Self {
        self.setup.queue(queue);
        self
    }

    /// Runs up to so many handlers at a time, in the blocking adapter each in a thread of its own.
    /// Default: 10.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.setup.concurrency(handlers);
        self
    }

    /// Reserves messages for so long at a time; the reservation of a running task is renewed. After
    /// a crash, its messages return to the queue when that time is over. Default: 30 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.setup.lease(lease);
        self
    }

    /// Reserves the messages of the task of this name for so long at a time.
    pub fn reserve_time(mut self, task: &str, time: Duration) -> Self {
        self.setup.reserve_time(task, time);
        self
    }

    /// Serves this route as well, with all tasks.
    pub fn route(mut self, route: &str) -> Self {
        self.setup.route(route);
        self
    }

    /// Gives a queue or route this share, when several have messages. Default: 1 each.
    pub fn weight(mut self, queue: &str, weight: u32) -> Self {
        self.setup.weight(queue, weight);
        self
    }

    /// Serves these priorities, 0 to 9, besides those that the registered tasks have: calls may
    /// name others than their tasks do.
    pub fn priorities(mut self, priorities: impl IntoIterator<Item = u8>) -> Self {
        self.setup.priorities(priorities);
        self
    }

    /// How long a failed task waits for its next attempt. Default: a random time of up to 1 s,
    /// doubled with each attempt, at most 300 s. IronMQ counts in whole seconds, rounded up.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.setup.backoff(backoff);
        self
    }

    /// Moves a message to the dead-letter queue after so many lost deliveries, since its task may be
    /// what crashes the workers. A delivery is lost when its worker crashes or its lease ends.
    /// Renewals, failed attempts and releases on purpose, as by a drain, do not count. After half as
    /// many the message runs alone. Default: 10. At least 2.
    ///
    /// IronMQ's own count includes renewals. There a task that allows no retries is moved when that
    /// count exceeds five times this number; and the first few lost deliveries of any other task are
    /// not counted, up to 5.
    pub fn max_deliveries(mut self, deliveries: u32) -> Self {
        self.setup.max_deliveries(deliveries);
        self
    }

    /// Remembers messages that are done, and deletes them without running them again if they come
    /// back: after a lost answer, or because somebody has posted a copy. Only authenticated messages
    /// (bridge and v2 frames) can be told from each other. The memory is this worker's own. Default:
    /// none.
    pub fn replay_window(mut self, window: ReplayWindow) -> Self {
        self.setup.replay_window(window);
        self
    }

    /// How long handlers may still run after the [`Worker`] was dropped. Default: 30 s.
    pub fn drain_limit(mut self, limit: Duration) -> Self {
        self.drain_limit = limit;
        self
    }

    /// Starts the worker.
    pub(crate) fn run(self) -> Result<Worker<R>, Error<R>> {
        let WorkerBuilder { ivy, mut handlers, setup, drain_limit } = self;
        ivy.use_here()?;
        let config = setup.finish(handlers.tasks()).map_err(Error::config)?;
        handlers.set_concurrency(config.concurrency);
        let wall = ivy.clock().wall();
        let machine = worker::Worker::new(config, random()?, wall).map_err(Error::config)?;
        start(ivy, machine, handlers, drain_limit)
    }
}

impl<R: Adapter> fmt::Debug for WorkerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder").field("handlers", &self.handlers).finish_non_exhaustive()
    }
}
