//! The validated settings of a task.

use std::time::Duration;

use crate::name::{InvalidName, Priority, QueueName, TaskName};
use crate::wire::{DEFAULT_MAX_RETRIES, Options};

use super::reserved_names::ReservedName;

/// How a task's messages are sent, and how its failures are treated: the validated settings of a
/// [`Task`](super::Task).
///
/// ```
/// use ivy_proto::task::TaskSettings;
/// use ivy_proto::{Priority, QueueName};
///
/// let mut settings = TaskSettings::in_queue(QueueName::new("testpackage")?);
/// settings.priority = Priority::HIGHEST;
/// assert_eq!(settings.physical_queue()?.as_str(), "testpackage.p9");
/// # Ok::<(), ivy_proto::InvalidName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskSettings {
    /// The queue of the task.
    pub queue: QueueName,
    /// The queue that its messages are sent to instead, if there is a route.
    pub route: Option<QueueName>,
    /// The priority.
    pub priority: Priority,
    /// Whether it is retried after a failure. Default: yes.
    pub retry: bool,
    /// The number of retries, 0 to 100. Default: 10.
    pub max_retries: u32,
    /// The lease of its messages, if it differs from the worker's.
    pub reserve_time: Option<Duration>,
    /// The time limit of its handler, if there is one.
    pub time_limit: Option<Duration>,
}

impl TaskSettings {
    /// The defaults for a task of this queue of which only the name is known.
    #[must_use]
    pub const fn in_queue(queue: QueueName) -> Self {
        TaskSettings {
            queue,
            route: None,
            priority: Priority::NORMAL,
            retry: true,
            max_retries: DEFAULT_MAX_RETRIES,
            reserve_time: None,
            time_limit: None,
        }
    }

    /// The queue that its messages are posted to: the route, or else the queue, with the priority's
    /// suffix.
    ///
    /// # Errors
    /// If the name with its suffix is too long.
    pub fn physical_queue(&self) -> Result<QueueName, InvalidName> {
        self.route.as_ref().unwrap_or(&self.queue).with_priority(self.priority)
    }

    /// The number of retries of a failed task: zero if `retry` is off.
    #[must_use]
    pub const fn retries(&self) -> u32 {
        if self.retry { self.max_retries } else { 0 }
    }

    /// The options in the task's messages: only those that differ from the defaults.
    #[must_use]
    pub fn message_options(&self) -> Options {
        let mut options = Options::new().with_priority(self.priority);
        if !self.retry {
            options = options.with_retry(false);
        }
        if self.max_retries != DEFAULT_MAX_RETRIES {
            options = options.with_max_retries(self.max_retries);
        }
        match &self.route {
            Some(route) => options.with_route(route.as_str()),
            None => options,
        }
    }
}

/// Why a task is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTask {
    /// The task's name is invalid.
    #[error("the name of a task is invalid: {0}")]
    Name(#[source] InvalidName),
    /// The task's name is reserved.
    #[error("a task cannot be named {name}: {why}")]
    Reserved {
        /// The name.
        name: TaskName,
        /// Why it is reserved.
        #[source]
        why: ReservedName,
    },
    /// The queue's name is invalid, or too long with the priority's suffix.
    #[error("the queue of task {task} is invalid: {why}")]
    Queue {
        /// The task.
        task: TaskName,
        /// What is wrong with the queue's name.
        #[source]
        why: InvalidName,
    },
    /// The route's name is invalid.
    #[error("the route of task {task} is invalid: {why}")]
    Route {
        /// The task.
        task: TaskName,
        /// What is wrong with the route's name.
        #[source]
        why: InvalidName,
    },
}

impl InvalidTask {
    /// Validates the name of a task.
    pub(crate) fn check_name(name: Result<TaskName, InvalidName>) -> Result<TaskName, InvalidTask> {
        let name = name.map_err(InvalidTask::Name)?;
        match ReservedName::check(&name) {
            Ok(()) => Ok(name),
            Err(why) => Err(InvalidTask::Reserved { name, why }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TaskSettings {
        TaskSettings::in_queue(QueueName::new("testpackage").unwrap())
    }

    #[test]
    fn a_task_with_defaults_writes_no_options() {
        assert_eq!(settings().message_options().to_json().as_str(), "{}");
    }

    #[test]
    fn only_what_differs_from_the_defaults_is_written() {
        let mut settings = settings();
        settings.retry = false;
        settings.max_retries = 3;
        settings.priority = Priority::HIGHEST;
        settings.route = Some(QueueName::new("route1").unwrap());
        assert_eq!(
            settings.message_options().to_json().as_str(),
            r#"{"retry":false,"maxRetries":3,"priority":9,"route":"route1"}"#
        );
    }

    #[test]
    fn a_route_replaces_the_queue() {
        let mut settings = settings();
        settings.route = Some(QueueName::new("route1").unwrap());
        assert_eq!(settings.physical_queue().unwrap().as_str(), "route1");
    }

    #[test]
    fn a_task_that_is_not_retried_has_no_retries() {
        let mut settings = settings();
        assert_eq!(settings.retries(), 10);
        settings.retry = false;
        assert_eq!(settings.retries(), 0);
    }
}
