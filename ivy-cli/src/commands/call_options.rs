//! Options of commands that call a task.

use std::time::Duration;

use ivy_proto::wire::RawJson;
use ivy_proto::{Priority, QueueName};
use ivy_tokio::{CallOptions, NamedTask};

use crate::duration;
use crate::exit::Failure;

/// A task to call, and how.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Task")]
pub(crate) struct TaskOptions {
    /// The queue of the task, which its workers serve
    #[arg(long, default_value = "ivy", value_name = "NAME")]
    queue: String,

    /// Send the task to this queue instead of its own
    #[arg(long, value_name = "QUEUE")]
    route: Option<String>,

    /// The priority, 0 to 9; a larger number goes first
    #[arg(long, value_name = "NUMBER")]
    priority: Option<u8>,

    /// Delay the task by this time, such as 30s
    #[arg(long, value_parser = duration::parse)]
    delay: Option<Duration>,

    /// The number of retries after a failure, 0 to 100
    #[arg(long, value_name = "NUMBER")]
    retries: Option<u32>,

    /// Do not retry the task, and send it at most once
    #[arg(long, conflicts_with = "retries")]
    no_retry: bool,

    /// Do not start the task after this time, such as 10m, or up to a minute later: clocks may differ
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    expires: Option<Duration>,
}

impl TaskOptions {
    /// The task of this name.
    pub(super) fn task(&self, name: &str) -> Result<NamedTask, Failure> {
        for queue in [Some(&self.queue), self.route.as_ref()].into_iter().flatten() {
            let name = QueueName::new(queue).map_err(Failure::usage)?;
            if name.of_dead_letters().is_some() {
                return Err(Failure::usage(format!(
                    "{queue} is a dead-letter queue, which no worker serves; name a queue of tasks"
                )));
            }
        }
        NamedTask::new(name, &self.queue).map_err(Failure::usage)
    }

    /// The queue that its message is posted to: with a priority, one of its own.
    pub(super) fn physical_queue(&self) -> Result<QueueName, Failure> {
        let queue = self.route.as_ref().unwrap_or(&self.queue);
        let queue = QueueName::new(queue).map_err(Failure::usage)?;
        // The call refuses another priority.
        let priority = Priority::new(self.priority.unwrap_or(0)).unwrap_or(Priority::NORMAL);
        queue.with_priority(priority).map_err(Failure::usage)
    }

    pub(super) fn call_options(&self) -> CallOptions {
        let mut options = CallOptions::new().delay(self.delay.unwrap_or(Duration::ZERO));
        if let Some(route) = &self.route {
            options = options.route(route);
        }
        if let Some(priority) = self.priority {
            options = options.priority(priority);
        }
        if let Some(retries) = self.retries {
            options = options.max_retries(retries);
        }
        if self.no_retry {
            options = options.retry(false);
        }
        if let Some(expires) = self.expires {
            options = options.expires_after(expires);
        }
        options
    }
}

/// Parses the arguments of a call. The error does not repeat them.
pub(super) fn args(text: &str) -> Result<RawJson, InvalidArgs> {
    let args = RawJson::parse(text).map_err(|error| InvalidArgs { at: error.column() })?;
    if args.as_str().starts_with('[') { Ok(args) } else { Err(InvalidArgs { at: 1 }) }
}

/// The text is not a list of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the arguments must be a JSON array, such as '[\"a\", 1]'; the error is at byte {at}")]
pub(super) struct InvalidArgs {
    at: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_array() {
        assert_eq!(args(" [1, \"a\"] ").unwrap().as_str(), "[1, \"a\"]");
        for (text, at) in [("", 0), ("1", 1), ("{}", 1), ("[1,", 3), ("[secret]", 2)] {
            let error = args(text).unwrap_err();
            assert_eq!(error, InvalidArgs { at }, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }
}
