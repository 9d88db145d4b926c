//! Builds a worker's configuration from strings and numbers.

use std::time::Duration;

use crate::name::{InvalidName, Priority, QueueName, TaskName};
use crate::presence::Identity;
use crate::retry::Backoff;
use crate::task::{RegisterError, TaskSettings};

use super::config::WorkerConfig;
use super::replay_window::ReplayWindow;

/// Builds a [`WorkerConfig`] step by step, for the builders of the adapters. The first error is
/// stored and returned by [`finish`](WorkerSetup::finish).
#[derive(Clone, Debug)]
pub struct WorkerSetup {
    config: WorkerConfig,
    queue: Option<QueueName>,
    publishes_presence: bool,
    names_process: bool,
    error: Option<SetupError>,
}

/// An error in the description of a worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A string is not a valid name.
    #[error("the {of}: {error}")]
    Name {
        /// What the string was to name.
        of: &'static str,
        /// Why it is invalid.
        error: InvalidName,
    },
    /// A number is not a priority.
    #[error("a priority must be from 0 to 9, not {0}")]
    Priority(u8),
    /// A handler could not be registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Two queues are configured for tasks that are registered by name.
    #[error(
        "all tasks that are registered by name share one queue, but {0} and {1} are configured; declare the tasks as constants with queues of their own, or use two workers"
    )]
    TwoQueues(QueueName, QueueName),
    /// A task is registered by name, without a queue.
    #[error("task {0} is registered by name, so its queue is unknown; set it with .queue(..)")]
    NoQueue(TaskName),
}

impl WorkerSetup {
    /// Starts from this configuration.
    #[must_use]
    pub fn new(config: WorkerConfig) -> Self {
        WorkerSetup {
            config,
            queue: None,
            publishes_presence: true,
            names_process: true,
            error: None,
        }
    }

    /// Records the result of registering a handler.
    pub fn registered(&mut self, result: Result<(), RegisterError>) {
        if let Err(error) = result {
            self.fail(error.into());
        }
    }

    /// Sets the queue of the tasks that are registered by name.
    pub fn queue(&mut self, queue: &str) {
        let Some(queue) = self.name("queue", QueueName::new(queue)) else { return };
        match &self.queue {
            Some(first) if *first != queue => {
                self.fail(SetupError::TwoQueues(first.clone(), queue));
            }
            _ => self.queue = Some(queue),
        }
    }

    /// See [`WorkerConfig::with_concurrency`].
    pub fn concurrency(&mut self, handlers: usize) {
        self.config.concurrency = handlers;
    }

    /// See [`WorkerConfig::with_lease`].
    pub fn lease(&mut self, lease: Duration) {
        self.config.lease = lease;
    }

    /// See [`WorkerConfig::with_reserve_time`].
    pub fn reserve_time(&mut self, task: &str, time: Duration) {
        if let Some(task) = self.name("task with a reserve time", TaskName::new(task)) {
            self.config.reserve_times.insert(task, time);
        }
    }

    /// See [`WorkerConfig::with_route`].
    pub fn route(&mut self, route: &str) {
        if let Some(route) = self.name("route", QueueName::new(route)) {
            self.config.routes.insert(route);
        }
    }

    /// See [`WorkerConfig::with_weight`].
    pub fn weight(&mut self, queue: &str, weight: u32) {
        if let Some(queue) = self.name("queue with a weight", QueueName::new(queue)) {
            self.config.weights.insert(queue, weight);
        }
    }

    /// See [`WorkerConfig::with_replay_window`].
    pub fn replay_window(&mut self, window: ReplayWindow) {
        self.config.replay_window = Some(window);
    }

    /// See [`WorkerConfig::with_priority`].
    pub fn priorities(&mut self, priorities: impl IntoIterator<Item = u8>) {
        for number in priorities {
            match Priority::new(number) {
                Some(priority) => {
                    self.config.priorities.insert(priority);
                }
                None => self.fail(SetupError::Priority(number)),
            }
        }
    }

    /// Whether the worker publishes presence records, if the configuration contains its identity.
    pub fn presence(&mut self, enabled: bool) {
        self.publishes_presence = enabled;
    }

    /// Whether its presence records name its host and process.
    pub fn presence_host(&mut self, enabled: bool) {
        self.names_process = enabled;
    }

    /// See [`WorkerConfig::with_backoff`].
    pub fn backoff(&mut self, backoff: Backoff) {
        self.config.backoff = backoff;
    }

    /// See [`WorkerConfig::with_max_deliveries`].
    pub fn max_deliveries(&mut self, deliveries: u32) {
        self.config.max_deliveries = deliveries;
    }

    /// See [`WorkerConfig::with_max_later`].
    pub fn max_later(&mut self, times: u32) {
        self.config.max_later = times;
    }

    /// Returns the configuration of a worker with these tasks. Settings are `None` for a task that
    /// is registered by name.
    ///
    /// # Errors
    /// Returns the first error of the description, or an error if a task has no queue.
    pub fn finish<'a>(
        self,
        tasks: impl IntoIterator<Item = (&'a TaskName, Option<&'a TaskSettings>)>,
    ) -> Result<WorkerConfig, SetupError> {
        let WorkerSetup { mut config, queue, publishes_presence, names_process, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        for (name, settings) in tasks {
            let settings = match (settings, &queue) {
                (Some(settings), _) => settings.clone(),
                (None, Some(queue)) => TaskSettings::in_queue(queue.clone()),
                (None, None) => return Err(SetupError::NoQueue(name.clone())),
            };
            config.tasks.insert(name.clone(), settings);
        }
        config.presence =
            config.presence.filter(|_| publishes_presence).map(|identity| match identity {
                shown if names_process => shown,
                hidden => Identity { host: None, pid: None, ..hidden },
            });
        Ok(config)
    }

    fn name<T>(&mut self, of: &'static str, result: Result<T, InvalidName>) -> Option<T> {
        result.map_err(|error| self.fail(SetupError::Name { of, error })).ok()
    }

    fn fail(&mut self, error: SetupError) {
        self.error.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Capabilities;
    use crate::wire::Codec;

    fn setup() -> WorkerSetup {
        WorkerSetup::new(WorkerConfig::new(Capabilities::broker(), Codec::plain()))
    }

    fn task(name: &str) -> TaskName {
        TaskName::new(name).unwrap()
    }

    #[test]
    fn each_setting_reaches_the_configuration() {
        let mut setup = setup();
        let minute = Duration::from_secs(60);
        setup.concurrency(3);
        setup.lease(minute);
        setup.reserve_time("slow", minute * 2);
        setup.route("fast");
        setup.weight("fast", 5);
        setup.priorities([1, 2]);
        setup.backoff(Backoff::REQUESTS);
        setup.max_deliveries(7);
        setup.max_later(9);
        let config = setup.finish([]).unwrap();
        let queue = |name| QueueName::new(name).unwrap();
        let numbers = (config.concurrency, config.max_deliveries, config.max_later);
        assert_eq!(numbers, (3, 7, 9));
        assert_eq!((config.lease, config.backoff), (minute, Backoff::REQUESTS));
        assert_eq!(config.reserve_times[&task("slow")], minute * 2);
        assert!(config.routes.contains(&queue("fast")));
        assert_eq!(config.weights[&queue("fast")], 5);
        assert_eq!(config.priorities.len(), 2);
    }

    #[test]
    fn the_first_error_is_returned() {
        let mut setup = setup();
        setup.priorities([1, 10]);
        setup.route("");
        assert_eq!(setup.finish([]).unwrap_err(), SetupError::Priority(10));
    }

    #[test]
    fn an_invalid_name_is_reported_with_what_it_names() {
        let error_of = |describe: fn(&mut WorkerSetup)| {
            let mut setup = setup();
            describe(&mut setup);
            setup.finish([]).unwrap_err().to_string()
        };
        assert!(error_of(|setup| setup.queue("")).starts_with("the queue:"));
        assert!(error_of(|setup| setup.route("")).starts_with("the route:"));
        assert!(error_of(|setup| setup.weight("", 1)).starts_with("the queue with a weight:"));
        let error = error_of(|setup| setup.reserve_time("", Duration::ZERO));
        assert!(error.starts_with("the task with a reserve time:"));
    }

    #[test]
    fn a_second_queue_for_tasks_by_name_is_refused() {
        let mut setup = setup();
        setup.queue("x");
        setup.queue("x");
        setup.queue("y");
        assert!(matches!(setup.finish([]), Err(SetupError::TwoQueues(..))));
    }

    #[test]
    fn a_failed_registration_is_returned() {
        let mut setup = setup();
        setup.registered(Ok(()));
        let taken = RegisterError::Taken(task("twice"));
        setup.registered(Err(taken.clone()));
        assert_eq!(setup.finish([]).unwrap_err(), SetupError::Register(taken));
    }

    #[test]
    fn tasks_without_a_queue_use_the_queue_of_the_worker() {
        let own = TaskSettings::in_queue(QueueName::new("own").unwrap());
        let (known, by_name) = (task("known"), task("by.name"));
        let tasks = [(&known, Some(&own)), (&by_name, None)];
        let error = setup().finish(tasks).unwrap_err();
        assert_eq!(error, SetupError::NoQueue(by_name.clone()));
        let mut setup = setup();
        setup.queue("workers");
        let config = setup.finish(tasks).unwrap();
        assert_eq!(config.tasks[&known].queue.as_str(), "own");
        assert_eq!(config.tasks[&by_name].queue.as_str(), "workers");
    }
}
