//! What a worker serves, and how.

use std::fmt;
use std::time::Duration;

use ivy_proto::task::{FromArgs, Handler, Registry, TaskRef, TaskSettings};
use ivy_proto::worker::{self, WorkerConfig};
use ivy_proto::{Backoff, InvalidName, Priority, QueueName, TaskName};
use serde::Serialize;

use crate::context::Ctx;
use crate::error::{Error, Result};
use crate::ivy::Ivy;
use crate::random::random;
use crate::worker::{Worker, start};

/// How long a worker that is dropped may take to drain, unless said otherwise.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// Says what a worker serves, and how, and starts it. Made by [`Ivy::worker`].
///
/// What is wrong with a name or a number is told by [`start`](WorkerBuilder::start).
#[must_use = "a worker serves nothing until it is started"]
pub struct WorkerBuilder {
    ivy: Ivy,
    registry: Registry<Ctx>,
    config: WorkerConfig,
    queue: Option<QueueName>,
    drain_limit: Duration,
    error: Option<Error>,
}

impl WorkerBuilder {
    pub(crate) fn new(ivy: Ivy, config: WorkerConfig) -> Self {
        WorkerBuilder {
            ivy,
            registry: Registry::new(),
            config,
            queue: None,
            drain_limit: DRAIN_LIMIT,
            error: None,
        }
    }

    /// Serves a task, named by its [`Task`](crate::Task) or by its name alone. A task that is
    /// registered by name is taken from the [`queue`](WorkerBuilder::queue) given here.
    ///
    /// The handler is an async function or closure of the task's arguments, as owned values, with
    /// [`Ctx`] before them if it asks for it. It must not block its thread: what does belongs into
    /// `async_std::task::spawn_blocking`. A handler that panics has failed.
    pub fn register<Args, Output, Marker>(
        mut self,
        task: impl TaskRef<Args, Output>,
        handler: impl Handler<Ctx, Args, Output, Marker>,
    ) -> Self
    where
        Args: FromArgs,
        Output: Serialize,
    {
        if let Err(error) = self.registry.register(task, handler) {
            self.fail(error);
        }
        self
    }

    /// The queue of the tasks that are registered by name.
    pub fn queue(mut self, queue: &str) -> Self {
        self.queue = self.checked(QueueName::new(queue));
        self
    }

    /// Runs up to so many handlers at a time. Default: 10.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.config = self.config.with_concurrency(handlers);
        self
    }

    /// Reserves messages for so long at a time; the reservation of a running task is renewed. After
    /// a crash, its messages return to the queue when that time is over. Default: 30 s.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.config = self.config.with_lease(lease);
        self
    }

    /// Reserves the messages of the task of this name for so long at a time.
    pub fn reserve_time(mut self, task: &str, time: Duration) -> Self {
        if let Some(task) = self.checked(TaskName::new(task)) {
            self.config = self.config.with_reserve_time(task, time);
        }
        self
    }

    /// Serves this route as well, with all tasks.
    pub fn route(mut self, route: &str) -> Self {
        if let Some(route) = self.checked(QueueName::new(route)) {
            self.config = self.config.with_route(route);
        }
        self
    }

    /// Gives a queue or route this share, when several have messages. Default: 1 each.
    pub fn weight(mut self, queue: &str, weight: u32) -> Self {
        if let Some(queue) = self.checked(QueueName::new(queue)) {
            self.config = self.config.with_weight(queue, weight);
        }
        self
    }

    /// Serves these priorities, 0 to 9, besides those that the registered tasks have: calls may
    /// name others than their tasks do.
    pub fn priorities(mut self, priorities: impl IntoIterator<Item = u8>) -> Self {
        for number in priorities {
            match Priority::new(number) {
                Some(priority) => self.config = self.config.with_priority(priority),
                None => self.fail(format!("a priority is 0 to 9, not {number}")),
            }
        }
        self
    }

    /// How long a failed task waits for its next attempt. Default: a random time of up to 1 s,
    /// doubled with each attempt, at most 300 s.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config = self.config.with_backoff(backoff);
        self
    }

    /// Puts a message aside after so many deliveries without an outcome, since it may be what kills
    /// the workers. Default: 50 on queues that count renewals of a reservation too, as IronMQ does.
    pub fn max_deliveries(mut self, deliveries: u32) -> Self {
        self.config = self.config.with_max_deliveries(deliveries);
        self
    }

    /// How long handlers may still run after the [`Worker`] was dropped. Default: 30 s.
    pub fn drain_limit(mut self, limit: Duration) -> Self {
        self.drain_limit = limit;
        self
    }

    /// Starts the worker.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a name or number is wrong, a task is registered
    /// twice or by name without a queue, or nothing is registered.
    pub async fn start(self) -> Result<Worker> {
        let WorkerBuilder { ivy, registry, mut config, queue, drain_limit, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        for (name, settings) in registry.tasks() {
            let settings = match (settings, &queue) {
                (Some(settings), _) => settings.clone(),
                (None, Some(queue)) => TaskSettings::in_queue(queue.clone()),
                (None, None) => {
                    return Err(Error::config(format!(
                        "task {name} is registered by name, so its queue is not known; name it with .queue(..)"
                    )));
                }
            };
            config = config.with_task(name.clone(), settings);
        }
        let wall = ivy.clock().wall();
        let machine = worker::Worker::new(config, random()?, wall).map_err(Error::config)?;
        Ok(start(ivy, machine, registry, drain_limit))
    }

    fn checked<T>(&mut self, result: Result<T, InvalidName>) -> Option<T> {
        result.map_err(|error| self.fail(error)).ok()
    }

    /// Keeps the first thing that is wrong.
    fn fail(&mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        self.error.get_or_insert_with(|| Error::config(error));
    }
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder").field("registry", &self.registry).finish_non_exhaustive()
    }
}
