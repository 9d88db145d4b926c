//! One call of a task: what it can say beyond its task, and what the producer takes.

use std::time::Duration;

use crate::id::TaskId;
use crate::name::{InvalidName, Priority, QueueName, TaskName};
use crate::producer::{Call, ReplyTo};
use crate::wire::{IvyOptions, MAX_RETRIES, TraceParent, TraceState};

use super::args::{ToArgs, UnwritableArgs};
use super::definition::Task;
use super::settings::{InvalidTask, TaskSettings};

/// What a single call says beyond its task: when it is to run, and how it differs from what the
/// task says of itself. Checked when the call is made.
///
/// ```
/// use ivy_proto::task::CallOptions;
/// use std::time::Duration;
///
/// let options = CallOptions::new().delay(Duration::from_secs(60)).max_retries(2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    delay: Duration,
    priority: Option<u8>,
    route: Option<String>,
    retry: Option<bool>,
    max_retries: Option<u32>,
    expires_after: Option<Duration>,
    trace: Option<TraceParent>,
    tracestate: Option<TraceState>,
}

impl CallOptions {
    /// A call that is as its task says.
    #[must_use]
    pub fn new() -> Self {
        CallOptions::default()
    }

    /// Lets the queue hold the task back for so long. A queue that counts in whole seconds rounds up.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// How urgent it is, 0 to 9. Larger is first. Only workers that know the priority, from their
    /// tasks or by name, serve it.
    #[must_use]
    pub fn priority(mut self, number: u8) -> Self {
        self.priority = Some(number);
        self
    }

    /// Sends it to this queue instead of the task's own. Only workers that name the route serve
    /// it.
    #[must_use]
    pub fn route(mut self, route: impl Into<String>) -> Self {
        self.route = Some(route.into());
        self
    }

    /// Whether it is tried again after a failure, and may be sent twice when the queue's answer is
    /// lost.
    #[must_use]
    pub fn retry(mut self, retry: bool) -> Self {
        self.retry = Some(retry);
        self
    }

    /// How often it is tried again after a failure, 0 to 100.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// After what time from now on it is not to be started any more: it is put aside then, for the
    /// reason [`Deadline`](crate::wire::DeadLetterReason::Deadline). Caller and worker may have clocks
    /// that differ, so a worker lets another minute pass; a shorter time than that says little. Both
    /// follow the clock of their machine when it is set. A worker that finds one task after another
    /// too late, and nothing else, rests instead, since its own clock may be wrong.
    #[must_use]
    pub fn expires_after(mut self, time: Duration) -> Self {
        self.expires_after = Some(time);
        self
    }

    /// The trace context to carry along.
    #[must_use]
    pub fn trace(mut self, trace: TraceParent) -> Self {
        self.trace = Some(trace);
        self
    }

    /// What tracing systems add to the trace context. Without [`trace`](CallOptions::trace) it is not
    /// sent.
    #[must_use]
    pub fn tracestate(mut self, state: TraceState) -> Self {
        self.tracestate = Some(state);
        self
    }

    /// The settings of this call, if its task has these.
    fn settings(&self, mut settings: TaskSettings) -> Result<TaskSettings, InvalidOption> {
        if let Some(number) = self.priority {
            settings.priority = Priority::new(number).ok_or(InvalidOption::Priority(number))?;
        }
        if let Some(route) = &self.route {
            settings.route = Some(QueueName::new(route).map_err(InvalidOption::Queue)?);
        }
        settings.retry = self.retry.unwrap_or(settings.retry);
        if let Some(retries) = self.max_retries {
            if retries > MAX_RETRIES {
                return Err(InvalidOption::MaxRetries(retries));
            }
            settings.max_retries = retries;
        }
        Ok(settings)
    }
}

impl<Args: ToArgs, Output> Task<Args, Output> {
    /// One call of this task as the [`producer`](crate::producer) takes it. For those who drive a producer
    /// themselves: an application calls tasks through its adapter, as in `ivy.call(&TASK, args)`.
    ///
    /// The id is sixteen random bytes, never used before.
    ///
    /// # Errors
    /// If the task cannot be used as it is written, an option is out of its range, or the
    /// arguments cannot be written as JSON.
    pub fn to_call(
        &self,
        id: TaskId,
        args: &Args,
        options: &CallOptions,
        reply: ReplyTo,
    ) -> Result<Call, InvalidCall> {
        let (task, own) = self.checked()?;
        let out_of_range = |why| InvalidCall::Option { task: task.clone(), why };
        let settings = options.settings(own.clone()).map_err(out_of_range)?;
        let mut said = settings.message_options();
        // Also a default, where it overrides what workers know of the task.
        if settings.retry != own.retry {
            said = said.with_retry(settings.retry);
        }
        if settings.max_retries != own.max_retries {
            said = said.with_max_retries(settings.max_retries);
        }
        if options.trace.is_some() {
            let mut ivy = IvyOptions::new(id);
            ivy.trace.clone_from(&options.trace);
            ivy.tracestate.clone_from(&options.tracestate);
            said = said.with_ivy(ivy);
        }
        let queue =
            settings.physical_queue().map_err(|why| out_of_range(InvalidOption::Queue(why)))?;
        let args = match args.to_args() {
            Ok(args) => args,
            Err(why) => return Err(InvalidCall::Args { task: task.clone(), queue, why }),
        };
        Ok(Call {
            id,
            queue,
            task: task.clone(),
            args,
            options: said,
            expires_after: options.expires_after,
            delay: options.delay,
            reply,
        })
    }
}

/// Why a task cannot be called so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCall {
    /// The task cannot be used as it is written.
    #[error(transparent)]
    Task(#[from] InvalidTask),
    /// An option of the call is out of its range.
    #[error("call of task {task}: {why}")]
    Option {
        /// The task.
        task: TaskName,
        /// What is wrong.
        why: InvalidOption,
    },
    /// The arguments have no form in JSON.
    #[error("call of task {task}: {why}")]
    Args {
        /// The task.
        task: TaskName,
        /// Where it was to be sent.
        queue: QueueName,
        /// What is wrong.
        why: UnwritableArgs,
    },
}

/// Which option of a call is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOption {
    /// There is no such priority.
    #[error("a priority is 0 to 9, not {0}")]
    Priority(u8),
    /// Too many retries.
    #[error("a task has at most {MAX_RETRIES} retries, not {0}")]
    MaxRetries(u32),
    /// The route is not the name of a queue, or too long with the priority's suffix.
    #[error("its queue or route is not valid: {0}")]
    Queue(InvalidName),
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOUBLE: Task<(u64,), u64> = Task::new("test.double").queue("test").max_retries(3);

    fn call(options: &CallOptions) -> Result<Call, InvalidCall> {
        DOUBLE.to_call(TaskId::from_random([1; 16]), &(7,), options, ReplyTo::Handle)
    }

    #[test]
    fn a_call_may_return_to_the_default_that_its_task_has_left() {
        const ONCE: Task<(u64,), u64> = Task::new("test.once").retry(false).max_retries(3);
        let options = CallOptions::new().retry(true).max_retries(10);
        let call =
            ONCE.to_call(TaskId::from_random([1; 16]), &(7,), &options, ReplyTo::Handle).unwrap();
        assert_eq!((call.options.retry(), call.options.max_retries()), (Some(true), Some(10)));
    }

    #[test]
    fn a_call_without_options_is_as_its_task_says() {
        let call = call(&CallOptions::new()).unwrap();
        assert_eq!((call.task.as_str(), call.queue.as_str()), ("test.double", "test"));
        assert_eq!(call.args.as_str(), "[7]");
        let usual = DOUBLE.settings().unwrap().message_options();
        assert_eq!(call.options.to_json().as_str(), usual.to_json().as_str());
    }

    #[test]
    fn options_win_over_the_task() {
        let options = CallOptions::new()
            .delay(Duration::from_secs(5))
            .route("fast")
            .priority(2)
            .retry(false)
            .max_retries(1)
            .expires_after(Duration::from_secs(9));
        let call = call(&options).unwrap();
        assert_eq!(call.queue.as_str(), "fast.p2");
        assert_eq!(call.delay, Duration::from_secs(5));
        assert_eq!(call.expires_after, Some(Duration::from_secs(9)));
        assert_eq!(
            call.options.to_json().as_str(),
            r#"{"retry":false,"maxRetries":1,"priority":2,"route":"fast"}"#
        );
    }

    #[test]
    fn an_option_out_of_its_range_is_refused() {
        let refused = |options| call(&options).unwrap_err();
        let refused = |options: CallOptions| match refused(options) {
            InvalidCall::Option { task, why } if task.as_str() == "test.double" => why,
            other => panic!("{other}"),
        };
        assert_eq!(refused(CallOptions::new().priority(10)), InvalidOption::Priority(10));
        let retries = CallOptions::new().max_retries(101);
        assert_eq!(refused(retries), InvalidOption::MaxRetries(101));
        assert!(matches!(refused(CallOptions::new().route("")), InvalidOption::Queue(_)));
        let long = CallOptions::new().route("q".repeat(254)).priority(1);
        assert!(matches!(refused(long), InvalidOption::Queue(_)));
    }
}
