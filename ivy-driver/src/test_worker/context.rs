//! Contexts for tests that call a handler directly.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use futures_channel::mpsc;
use ivy_proto::task::{InvalidTask, Task, TaskSettings, TaskSpec};
use ivy_proto::wire::{RawJson, TraceParent};
use ivy_proto::worker::{Relation, Run};
use ivy_proto::{JobId, MessageId, QueueName, TaskId, TaskName};

use crate::context::Ctx;
use crate::error::Error;
use crate::handler_waits::HandlerWaits;
use crate::ivy::Ivy;
use crate::random::random;
use crate::runtime::Runtime;

use super::test_ivy;

/// Builds the context of a handler for a test that calls the handler directly. Created by
/// [`Ctx::for_test`]. Errors are reported by [`build`](CtxBuilder::build).
#[must_use = "a builder does nothing until `build` is called"]
pub struct CtxBuilder<R: Runtime> {
    task: Result<(TaskName, Option<TaskSettings>), InvalidTask>,
    queue: Option<String>,
    id: Option<TaskId>,
    attempt: u32,
    max_attempts: Option<u32>,
    time_limit: Option<Duration>,
    cancel_after: Option<Duration>,
    trace: Option<TraceParent>,
    ivy: Option<Ivy<R>>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> Ctx<R> {
    /// Starts to build the context of a handler of this task, for a test that calls the handler
    /// directly. Without further settings it is that of the first attempt. A test that checks what
    /// follows from the handler's result uses a [`TestWorker`](crate::TestWorker).
    pub fn for_test<Args, Output>(task: &Task<Args, Output>) -> CtxBuilder<R> {
        CtxBuilder {
            task: task.resolve(),
            queue: None,
            id: None,
            attempt: 1,
            max_attempts: None,
            time_limit: None,
            cancel_after: None,
            trace: None,
            ivy: None,
            runtime: PhantomData,
        }
    }
}

impl<R: Runtime> CtxBuilder<R> {
    /// The physical queue that the task came from. Default: that of the task.
    pub fn queue(mut self, queue: &str) -> Self {
        self.queue = Some(queue.to_owned());
        self
    }

    /// The id of the task. Default: a new one.
    pub fn id(mut self, id: TaskId) -> Self {
        self.id = Some(id);
        self
    }

    /// The number of the attempt, from 1. Default: 1.
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// The number of attempts allowed. Default: that of the task.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = Some(attempts);
        self
    }

    /// Sets the deadline this long after the context is built. Nothing happens when it passes: see
    /// [`cancel_after`](CtxBuilder::cancel_after). Default: the time limit of the task.
    pub fn deadline_after(mut self, time: Duration) -> Self {
        self.time_limit = Some(time);
        self
    }

    /// Cancels its token this long after the context is built. With tokio, build it inside a runtime.
    pub fn cancel_after(mut self, time: Duration) -> Self {
        self.cancel_after = Some(time);
        self
    }

    /// Builds it with a token that is already cancelled.
    pub fn cancelled(self) -> Self {
        self.cancel_after(Duration::ZERO)
    }

    /// The trace context of the caller. Default: none.
    pub fn trace(mut self, trace: TraceParent) -> Self {
        self.trace = Some(trace);
        self
    }

    /// The `Ivy` for follow-up tasks. Default: one in memory, without a worker. That of a
    /// [`TestWorker`](crate::TestWorker) records what is called.
    pub fn ivy(mut self, ivy: &Ivy<R>) -> Self {
        self.ivy = Some(ivy.clone());
        self
    }

    /// Builds the context.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the task or the name of the queue is invalid.
    pub fn build(self) -> Result<Ctx<R>, Error<R>> {
        let (task, settings) = self.task.map_err(Error::config)?;
        let settings = settings.ok_or_else(|| Error::config("the task has no settings"))?;
        let queue = match &self.queue {
            Some(queue) => QueueName::new(queue),
            None => settings.physical_queue(),
        };
        let ivy = match self.ivy {
            Some(ivy) => ivy,
            None => test_ivy()?.0,
        };
        let time_limit = self.time_limit.or(settings.time_limit);
        let run = Run {
            job: JobId::new(0),
            task,
            id: match self.id {
                Some(id) => id,
                None => TaskId::from_random(random()?),
            },
            queue: queue.map_err(Error::config)?,
            message: MessageId::new("1"),
            message_key: None,
            args: RawJson::from_value(&[(); 0]).map_err(Error::config)?,
            attempt: self.attempt,
            max_attempts: self.max_attempts.unwrap_or(settings.retries() + 1),
            deadline: time_limit.map(|limit| ivy.clock().now() + limit),
            trace: self.trace,
            tracestate: None,
            relation: Relation::Link,
            waited: None,
        };
        // No worker tracks what it waits for.
        let waits = HandlerWaits::new(run.job, mpsc::unbounded().0);
        let clock = ivy.clock();
        let context = Ctx::new(run, ivy, waits);
        match self.cancel_after {
            Some(Duration::ZERO) => R::cancel(context.cancelled()),
            Some(time) => {
                let (token, at) = (context.cancelled().clone(), clock.now() + time);
                let cancelling = async move {
                    clock.sleep_until(Some(at)).await;
                    R::cancel(&token);
                };
                R::spawn("ivy-cancel", cancelling).map_err(Error::config)?;
            }
            None => {}
        }
        Ok(context)
    }
}

impl<R: Runtime> fmt::Debug for CtxBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CtxBuilder").field("task", &self.task).finish_non_exhaustive()
    }
}
