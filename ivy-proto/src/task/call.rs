//! A call of a task: its options, and the call that the producer accepts.

use std::time::Duration;

use crate::id::TaskId;
use crate::name::{InvalidName, Priority, QueueName, TaskName};
use crate::producer::{Call, ReplyTo};
use crate::wire::{IvyOptions, MAX_RETRIES, RawJson, TraceParent, TraceState};

use super::args::{ToArgs, UnwritableArgs};
use super::definition::Task;
use super::settings::{InvalidTask, TaskSettings};

/// The options of a single call: when it runs, and how it differs from its task's settings. Checked
/// when the call is made.
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
    within: Option<Duration>,
    id: Option<TaskId>,
    trace: Option<TraceParent>,
    tracestate: Option<TraceState>,
}

impl CallOptions {
    /// Options that change nothing.
    #[must_use]
    pub fn new() -> Self {
        CallOptions::default()
    }

    /// Delays the task by this time. A queue that counts whole seconds rounds up.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets the priority, 0 to 9. Messages with a larger number are reserved first. Only workers
    /// that serve this priority, because of their tasks or through `WorkerBuilder::priorities`, run
    /// the task.
    #[must_use]
    pub fn priority(mut self, number: u8) -> Self {
        self.priority = Some(number);
        self
    }

    /// Sends the task to this queue instead of its own. Only workers that are configured with
    /// `WorkerBuilder::route` run it.
    #[must_use]
    pub fn route(mut self, route: impl Into<String>) -> Self {
        self.route = Some(route.into());
        self
    }

    /// Sets whether the task is retried after a failure, and may be sent twice if the queue's reply
    /// is lost.
    #[must_use]
    pub fn retry(mut self, retry: bool) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Sets the number of retries after a failure, 0 to 100.
    #[must_use]
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// Sets the time after which the task must not be started any more. It is then moved to the
    /// dead-letter queue with the reason [`Deadline`](crate::wire::DeadLetterReason::Deadline). The
    /// clocks of caller and worker may differ, so a worker adds a tolerance of one minute, and
    /// shorter times are not precise. Producer and worker notice when their host's clock
    /// is set. A worker that receives many expired tasks in a row and nothing else pauses instead, because
    /// its own clock may be wrong.
    #[must_use]
    pub fn expires_after(mut self, time: Duration) -> Self {
        self.expires_after = Some(time);
        self
    }

    /// Limits how long the call may take until the queue has accepted the task, instead of the
    /// default of the builder: the wait for the subscription to results, for the call's turn, and
    /// for the queue's reply. Without a limit, a call waits up to 10 s for the subscription, and is
    /// sent up to five times, which takes up to a minute if the queue hangs. How long to wait for
    /// the result is the caller's own decision, as always.
    ///
    /// When the limit ends, a call that was not given to the queue is withdrawn: it fails as
    /// [`Withdrawn`](crate::ErrorKind::Withdrawn), and is certainly not sent. If a request with it
    /// is under way, or the reply to an earlier one was lost, it fails as
    /// [`Unknown`](crate::ErrorKind::Unknown), and the error keeps the handle, which still receives
    /// the result. It is not sent again after the limit, so there are no more copies of it than
    /// requests that were begun before.
    ///
    /// A web application sets it below the time limit of its own requests:
    ///
    /// ```
    /// use ivy_proto::task::CallOptions;
    /// use std::time::Duration;
    ///
    /// let options = CallOptions::new().within(Duration::from_secs(1));
    /// ```
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = Some(limit);
        self
    }

    /// Sets the id of the task, instead of a random one. Take it from [`TaskId::derived`]: two
    /// different tasks must not have one id.
    ///
    /// Calls of one id in one process, that is of one `Ivy` and its clones, share one message and
    /// its result, as long as the first of them is pending: until the queue has accepted it, and if
    /// a result is wanted, until the result has arrived or all handles are dropped. The options of
    /// the first call apply to all, except for [`within`](CallOptions::within). A call of another
    /// task, with other arguments or to another queue fails as
    /// [`IdConflict`](crate::ErrorKind::IdConflict), and so does one that wants a result while a
    /// fire-and-forget call of the same id waits to be sent. A call whose predecessor failed as
    /// [`Unknown`](crate::ErrorKind::Unknown) waits for the request that is under way, if there is
    /// one, and sends the task again otherwise.
    ///
    /// This does not make the task run only once: once a call is no longer pending, the next one of
    /// its id sends the task again, and so do other processes. The handler sees the id as
    /// `Ctx::task_id` and can use it as an idempotency key: claim it in the database in which it
    /// acts.
    ///
    /// ```
    /// use ivy_proto::TaskId;
    /// use ivy_proto::task::CallOptions;
    ///
    /// let order = "order-1729";
    /// let options = CallOptions::new().id(TaskId::derived("shop.pay", order));
    /// ```
    #[must_use]
    pub fn id(mut self, id: TaskId) -> Self {
        self.id = Some(id);
        self
    }

    /// The id that the caller has chosen.
    #[must_use]
    pub fn chosen_id(&self) -> Option<TaskId> {
        self.id
    }

    /// Adds a trace context.
    #[must_use]
    pub fn trace(mut self, trace: TraceParent) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Adds the state of tracing systems to the trace context. Ignored without
    /// [`trace`](CallOptions::trace).
    #[must_use]
    pub fn tracestate(mut self, state: TraceState) -> Self {
        self.tracestate = Some(state);
        self
    }

    /// The settings of this call, given those of its task.
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

    /// Creates the call of a task with these settings. The arguments are written last.
    pub(super) fn to_call(
        &self,
        task: &TaskName,
        own: &TaskSettings,
        id: TaskId,
        reply: ReplyTo,
        args: impl FnOnce() -> Result<RawJson, UnwritableArgs>,
    ) -> Result<Call, InvalidCall> {
        let invalid_option = |why| InvalidCall::Option { task: task.clone(), why };
        let settings = self.settings(own.clone()).map_err(invalid_option)?;
        let mut message_options = settings.message_options();
        // A default is written too if it overrides the task's settings that workers know.
        if settings.retry != own.retry {
            message_options = message_options.with_retry(settings.retry);
        }
        if settings.max_retries != own.max_retries {
            message_options = message_options.with_max_retries(settings.max_retries);
        }
        if self.trace.is_some() {
            let mut ivy = IvyOptions::new(id);
            ivy.trace.clone_from(&self.trace);
            ivy.tracestate.clone_from(&self.tracestate);
            message_options = message_options.with_ivy(ivy);
        }
        let queue =
            settings.physical_queue().map_err(|why| invalid_option(InvalidOption::Queue(why)))?;
        let args = match args() {
            Ok(args) => args,
            Err(why) => return Err(InvalidCall::Args { task: task.clone(), queue, why }),
        };
        Ok(Call {
            id,
            chosen_id: self.id,
            queue,
            task: task.clone(),
            args,
            options: message_options,
            expires_after: self.expires_after,
            delay: self.delay,
            within: self.within,
            reply,
        })
    }
}

impl<Args: ToArgs, Output> Task<Args, Output> {
    /// Creates a call for the [`producer`](crate::producer). For programs that drive a producer
    /// themselves: an application calls tasks through its adapter, as in `ivy.call(&TASK, args)`.
    ///
    /// The id of the call consists of sixteen random bytes, never used before. It is that of the
    /// task as well, unless the options contain one.
    ///
    /// # Errors
    /// If the task is invalid, an option is out of range, or the arguments cannot be written as
    /// JSON.
    pub fn to_call(
        &self,
        id: TaskId,
        args: &Args,
        options: &CallOptions,
        reply: ReplyTo,
    ) -> Result<Call, InvalidCall> {
        let (task, own) = self.checked()?;
        options.to_call(&task, &own, id, reply, || args.to_args())
    }
}

/// Why a task cannot be called with these options and arguments.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCall {
    /// The task is invalid.
    #[error(transparent)]
    Task(#[from] InvalidTask),
    /// An option of the call is invalid.
    #[error("call of task {task}: {why}")]
    Option {
        /// The task.
        task: TaskName,
        /// What is wrong.
        why: InvalidOption,
    },
    /// The arguments cannot be written as JSON.
    #[error("call of task {task}: {why}")]
    Args {
        /// The task.
        task: TaskName,
        /// The queue of the call.
        queue: QueueName,
        /// What is wrong.
        why: UnwritableArgs,
    },
}

/// Why an option of a call is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOption {
    /// The priority is above 9.
    #[error("the priority must be from 0 to 9, not {0}")]
    Priority(u8),
    /// Too many retries.
    #[error("the number of retries must be at most {MAX_RETRIES}, not {0}")]
    MaxRetries(u32),
    /// The route is not a valid queue name, or too long with the priority's suffix.
    #[error("its queue or route is invalid: {0}")]
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
    fn a_call_can_restore_a_default_that_its_task_overrides() {
        const ONCE: Task<(u64,), u64> = Task::new("test.once").retry(false).max_retries(3);
        let options = CallOptions::new().retry(true).max_retries(10);
        let call =
            ONCE.to_call(TaskId::from_random([1; 16]), &(7,), &options, ReplyTo::Handle).unwrap();
        assert_eq!((call.options.retry(), call.options.max_retries()), (Some(true), Some(10)));
    }

    #[test]
    fn a_call_without_options_uses_its_tasks_settings() {
        let call = call(&CallOptions::new()).unwrap();
        assert_eq!((call.task.as_str(), call.queue.as_str()), ("test.double", "test"));
        assert_eq!(call.args.as_str(), "[7]");
        let usual = DOUBLE.settings().unwrap().message_options();
        assert_eq!(call.options.to_json().as_str(), usual.to_json().as_str());
    }

    #[test]
    fn options_override_the_task() {
        let options = CallOptions::new()
            .delay(Duration::from_secs(5))
            .route("fast")
            .priority(2)
            .retry(false)
            .max_retries(1)
            .within(Duration::from_secs(2))
            .id(TaskId::derived("test", "7"))
            .expires_after(Duration::from_secs(9));
        let call = call(&options).unwrap();
        assert_eq!(call.queue.as_str(), "fast.p2");
        assert_eq!(call.delay, Duration::from_secs(5));
        assert_eq!(call.expires_after, Some(Duration::from_secs(9)));
        assert_eq!(call.within, Some(Duration::from_secs(2)));
        assert_eq!(call.task_id(), TaskId::derived("test", "7"));
        assert_eq!(
            call.options.to_json().as_str(),
            r#"{"retry":false,"maxRetries":1,"priority":2,"route":"fast"}"#
        );
    }

    #[test]
    fn an_option_out_of_range_is_refused() {
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
