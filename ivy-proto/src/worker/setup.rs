//! A worker as a program describes it, in texts and numbers.

use std::time::Duration;

use crate::name::{InvalidName, Priority, QueueName, TaskName};
use crate::retry::Backoff;
use crate::task::{RegisterError, TaskSettings};

use super::config::WorkerConfig;
use super::replay_window::ReplayWindow;

/// A [`WorkerConfig`] that is described step by step, as the builders of the adapters do it. The
/// first thing that is wrong is kept, and told at the end.
#[derive(Clone, Debug)]
pub struct WorkerSetup {
    config: WorkerConfig,
    queue: Option<QueueName>,
    error: Option<SetupError>,
}

/// What is wrong with the description of a worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A text cannot be a name.
    #[error("the {of}: {error}")]
    Name {
        /// What it was to name.
        of: &'static str,
        /// Why it cannot.
        error: InvalidName,
    },
    /// A number is not a priority.
    #[error("a priority is 0 to 9, not {0}")]
    Priority(u8),
    /// A handler was not registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Two queues are named for tasks that are registered by name.
    #[error(
        "one queue holds for all tasks that are registered by name, and {0} and {1} are named; declare the tasks as constants with queues of their own, or use two workers"
    )]
    TwoQueues(QueueName, QueueName),
    /// A task is registered by its name alone.
    #[error("task {0} is registered by name, so its queue is not known; name it with .queue(..)")]
    NoQueue(TaskName),
}

impl WorkerSetup {
    /// Starts from this configuration.
    #[must_use]
    pub fn new(config: WorkerConfig) -> Self {
        WorkerSetup { config, queue: None, error: None }
    }

    /// Takes in whether a handler was registered.
    pub fn registered(&mut self, result: Result<(), RegisterError>) {
        if let Err(error) = result {
            self.fail(error.into());
        }
    }

    /// The queue of the tasks that are registered by name.
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

    /// See [`WorkerConfig::with_backoff`].
    pub fn backoff(&mut self, backoff: Backoff) {
        self.config.backoff = backoff;
    }

    /// See [`WorkerConfig::with_max_deliveries`].
    pub fn max_deliveries(&mut self, deliveries: u32) {
        self.config.max_deliveries = deliveries;
    }

    /// The configuration of a worker of these tasks, which have their settings unless they are
    /// registered by name.
    ///
    /// # Errors
    /// If something in the description was wrong, or a task has no queue.
    pub fn finish<'a>(
        self,
        tasks: impl IntoIterator<Item = (&'a TaskName, Option<&'a TaskSettings>)>,
    ) -> Result<WorkerConfig, SetupError> {
        let WorkerSetup { mut config, queue, error } = self;
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
    fn what_is_described_is_configured() {
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
        let config = setup.finish([]).unwrap();
        let queue = |name| QueueName::new(name).unwrap();
        assert_eq!((config.concurrency, config.max_deliveries), (3, 7));
        assert_eq!((config.lease, config.backoff), (minute, Backoff::REQUESTS));
        assert_eq!(config.reserve_times[&task("slow")], minute * 2);
        assert!(config.routes.contains(&queue("fast")));
        assert_eq!(config.weights[&queue("fast")], 5);
        assert_eq!(config.priorities.len(), 2);
    }

    #[test]
    fn the_first_thing_that_is_wrong_is_reported() {
        let mut setup = setup();
        setup.priorities([1, 10]);
        setup.route("");
        assert_eq!(setup.finish([]).unwrap_err(), SetupError::Priority(10));
    }

    #[test]
    fn a_name_that_is_wrong_is_reported_with_what_it_was_to_name() {
        let told = |describe: fn(&mut WorkerSetup)| {
            let mut setup = setup();
            describe(&mut setup);
            setup.finish([]).unwrap_err().to_string()
        };
        assert!(told(|setup| setup.queue("")).starts_with("the queue:"));
        assert!(told(|setup| setup.route("")).starts_with("the route:"));
        assert!(told(|setup| setup.weight("", 1)).starts_with("the queue with a weight:"));
        let told = told(|setup| setup.reserve_time("", Duration::ZERO));
        assert!(told.starts_with("the task with a reserve time:"));
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
    fn a_handler_that_was_not_registered_is_reported() {
        let mut setup = setup();
        setup.registered(Ok(()));
        let taken = RegisterError::Taken(task("twice"));
        setup.registered(Err(taken.clone()));
        assert_eq!(setup.finish([]).unwrap_err(), SetupError::Register(taken));
    }

    #[test]
    fn tasks_have_their_own_queue_or_else_that_of_the_worker() {
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
