//! The methods that wait, and the handlers, of runtimes whose users write futures.

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use ivy_proto::admin::Peeked;
use ivy_proto::event::Event;
use ivy_proto::queue::QueueInfo;
use ivy_proto::task::{
    CallOptions, FromArgs, Handler, Registry, Task, TaskSettings, TaskSpec, ToArgs, discard_panic,
};
use ivy_proto::wire::RawJson;
use ivy_proto::worker::JobOutcome;
use ivy_proto::{QueueName, TaskError, TaskId, TaskName};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;

use crate::admin::Admin;
use crate::call_progress::Until;
use crate::context::Ctx;
use crate::error::Error;
use crate::events::Events;
use crate::flag::Flag;
use crate::handle::Handle;
use crate::handlers::{Adapter, HandlerCompletion, Handlers};
use crate::ivy::Ivy;
use crate::runtime::{AsyncRuntime, Callbacks, Runtime};
use crate::worker::Worker;
use crate::worker_builder::WorkerBuilder;

impl<R: AsyncRuntime> Ivy<R> {
    /// Calls a task, and gives a handle that waits for its result. Returns when the queue has
    /// accepted the task.
    ///
    /// If the future is dropped before, the task may or may not be sent.
    ///
    /// # Errors
    /// Whatever keeps the task from being sent: see [`ErrorKind`](crate::ErrorKind).
    pub async fn call<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<Handle<R, Output>, Error<R>> {
        let listener = self.begin(task, &args, &CallOptions::new(), Until::Result)?;
        drop(args);
        Ok(Handle::new(listener.sent().await?))
    }

    /// Calls a task, as [`call`](Ivy::call) does it, in a way of its own.
    ///
    /// # Errors
    /// As [`call`](Ivy::call); also if an option is out of its range.
    pub async fn call_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
        options: CallOptions,
    ) -> Result<Handle<R, Output>, Error<R>> {
        let listener = self.begin(task, &args, &options, Until::Result)?;
        drop((args, options));
        Ok(Handle::new(listener.sent().await?))
    }

    /// Calls a task once for each of these arguments. The calls travel together, so this is much
    /// faster than one after the other. The results are in the order of the arguments.
    ///
    /// At most 10,000 calls wait to be sent at a time, and the handles of 100,000 for their results.
    /// Those beyond that are not sent, and fail as [`Full`](crate::ErrorKind::Full).
    ///
    /// If the future is dropped before it is done, the tasks may or may not be sent.
    pub async fn call_many<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: impl IntoIterator<Item = Args>,
    ) -> Vec<Result<Handle<R, Output>, Error<R>>> {
        self.call_each(task, args).await
    }

    /// Sends a task and forgets it: no result comes back, except to a callback of
    /// [`on_result`](Ivy::on_result). Returns when the queue has accepted the task.
    ///
    /// If the future is dropped before, the task may or may not be sent.
    ///
    /// # Errors
    /// Whatever keeps the task from being sent: see [`ErrorKind`](crate::ErrorKind).
    pub async fn send<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<TaskId, Error<R>> {
        let listener = self.begin(task, &args, &CallOptions::new(), Until::Sent)?;
        drop(args);
        Ok(listener.sent().await?.task().id)
    }

    /// Sends a task, as [`send`](Ivy::send) does it, in a way of its own.
    ///
    /// # Errors
    /// As [`send`](Ivy::send); also if an option is out of its range.
    pub async fn send_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
        options: CallOptions,
    ) -> Result<TaskId, Error<R>> {
        let listener = self.begin(task, &args, &options, Until::Sent)?;
        drop((args, options));
        Ok(listener.sent().await?.task().id)
    }
}

impl<R: AsyncRuntime, Output: DeserializeOwned> Handle<R, Output> {
    /// Waits for the task's result, at most so long. Several may wait at a time; each is given the
    /// result.
    ///
    /// Dropping the future loses nothing: the result can be waited for again, as it can after
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut); in a handler, [`Draining`](crate::ErrorKind::Draining)
    /// once its worker drains; and if the task
    /// [`Failed`](crate::ErrorKind::Failed) for good, its result is
    /// [too large](crate::ErrorKind::ResultTooLarge) or
    /// [not of type `Output`](crate::ErrorKind::BadResult), or the runtime
    /// [has ended](crate::ErrorKind::Stopped).
    pub async fn result(&self, timeout: Duration) -> Result<Output, Error<R>> {
        self.wait(timeout).await
    }
}

impl<R: AsyncRuntime> WorkerBuilder<R> {
    /// Serves a task, named by its [`Task`] or by its name alone. A task that is registered by name
    /// is taken from the [`queue`](WorkerBuilder::queue) given here.
    ///
    /// The handler is an async function or closure of the task's arguments, as owned values, with
    /// [`Ctx`] before them if it asks for it. It must not block its thread: what does belongs into
    /// the runtime's `spawn_blocking`. A handler that panics has failed, and its caller is told the
    /// panic's text.
    pub fn register<Args, Output, Marker>(
        self,
        task: impl TaskSpec<Args, Output>,
        handler: impl Handler<Ctx<R>, Args, Output, Marker>,
    ) -> Self
    where
        Args: FromArgs,
        Output: Serialize,
    {
        self.handler(|handlers| handlers.registry.register(task, handler))
    }

    /// Starts the worker. With tokio, it must be called in a runtime.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a name or number is wrong, a task is registered
    /// twice or by name without a queue, or nothing is registered.
    pub async fn start(self) -> Result<Worker<R>, Error<R>> {
        self.run()
    }
}

impl<R: AsyncRuntime> Worker<R> {
    /// Ends the worker: it reserves no more messages, waits until its handlers have returned,
    /// settles their messages, publishes their results and gives back what it has not begun. After
    /// `limit`, handlers that still run are cancelled and their messages given back as well.
    ///
    /// Dropping the future does not stop the draining, and it can be asked for again.
    pub async fn drain(&self, limit: Duration) {
        if let Some(ended) = self.start_to_drain(limit) {
            ended.raised().await;
        }
    }
}

impl<R: AsyncRuntime> Admin<R> {
    /// Looks at the next messages of a physical queue, 1 to 100, without reserving them. Those
    /// that are reserved or delayed are not seen.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist;
    /// [`Config`](crate::ErrorKind::Config) if its name or the number cannot be one.
    pub async fn peek(&self, queue: &str, count: usize) -> Result<Vec<Peeked>, Error<R>> {
        self.messages(queue, count).await
    }

    /// Deletes all messages of a physical queue, reserved ones included.
    ///
    /// Dropping the future leaves open whether it was done.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub async fn clear(&self, queue: &str) -> Result<(), Error<R>> {
        self.delete_all(queue).await
    }

    /// Tells the settings and sizes of a physical queue.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be asked, refuses, or does not exist.
    pub async fn info(&self, queue: &str) -> Result<QueueInfo, Error<R>> {
        self.settings(queue).await
    }

    /// Lists the physical queues whose names begin so, in order; all of them for an empty text.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be asked, or refuses, or has
    /// more than 100,000 that begin so.
    pub async fn list(&self, prefix: &str) -> Result<Vec<QueueName>, Error<R>> {
        self.names(prefix).await
    }
}

impl<R: AsyncRuntime> Events<R> {
    /// Waits for the next event; nothing once there will be no more.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.take() {
                Ok(event) => return event,
                Err(changed) => changed.await,
            }
        }
    }
}

/// The handlers of a worker that are futures. Each runs as a task of its own.
pub struct FutureHandlers<R: Runtime> {
    registry: Registry<Ctx<R>>,
}

impl<R: AsyncRuntime> Adapter for R {
    type Handlers = FutureHandlers<R>;
}

impl<R: AsyncRuntime> Handlers<R> for FutureHandlers<R> {
    fn tasks(&self) -> impl Iterator<Item = (&TaskName, Option<&TaskSettings>)> {
        self.registry.tasks()
    }

    /// The machine starts no more, and tasks need no limit beside that.
    fn set_concurrency(&mut self, _: usize) {}

    fn run(&self, ctx: Ctx<R>, args: RawJson, ended: HandlerCompletion) {
        let (token, span) = (ctx.cancelled().clone(), ctx.span().clone());
        let waits = ctx.waits().clone();
        let task = ctx.task_name().clone();
        let handler = self.registry.run(&task, ctx, args);
        let running = async move {
            let Some(handler) = handler else {
                let error = TaskError::new("the worker has no handler of this task");
                return JobOutcome::Failed(error);
            };
            // In this order, a handler that ends because it was told to stop is heard.
            match select(handler, pin!(R::cancelled(&token))).await {
                Either::Left((outcome, _)) => outcome,
                Either::Right(_) => JobOutcome::Cancelled,
            }
        };
        let running = async move {
            let mut running = pin!(running);
            poll_fn(|context| waits.within(|| running.as_mut().poll(context))).await
        };
        let task = async move {
            let mut ended = ended;
            ended.begin();
            // A handler's own panic is an outcome. Here its values panic while they are dropped,
            // which must not leave the worker waiting for an end.
            let outcome = AssertUnwindSafe(running).catch_unwind().await;
            ended.with(outcome.unwrap_or_else(|payload| {
                discard_panic(payload);
                JobOutcome::Cancelled
            }));
        };
        if let Err(error) = R::spawn("ivy-handler", task.instrument(span)) {
            tracing::error!(%error, "a handler cannot be run");
        }
    }
}

impl<R: AsyncRuntime> Default for FutureHandlers<R> {
    fn default() -> Self {
        FutureHandlers { registry: Registry::new() }
    }
}

impl<R: Runtime> fmt::Debug for FutureHandlers<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registry.fmt(f)
    }
}

/// Runs each callback as a task of its own.
pub struct TaskPerCallback<R>(PhantomData<fn() -> R>);

impl<R: Runtime> Callbacks for TaskPerCallback<R> {
    fn run(&self, callback: impl FnOnce() + Send + 'static) {
        let task = async move {
            // What a callback leaves behind when it panics is its own.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(callback)) {
                discard_panic(payload);
            }
        };
        if let Err(error) = R::spawn("ivy-callback", task) {
            tracing::error!(%error, "a callback cannot be run");
        }
    }
}

impl<R> fmt::Debug for TaskPerCallback<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TaskPerCallback")
    }
}

impl<R> Default for TaskPerCallback<R> {
    fn default() -> Self {
        TaskPerCallback(PhantomData)
    }
}

/// Tells a handler, and what it has started elsewhere, to stop. Its clones are cancelled together.
/// For runtimes that have no such token of their own.
#[derive(Clone, Debug, Default)]
pub struct CancellationToken(Flag);

impl CancellationToken {
    /// Cancels it, and its clones.
    pub fn cancel(&self) {
        self.0.raise();
    }

    /// Whether it is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_raised()
    }

    /// Waits until it is cancelled. Dropping the future loses nothing.
    pub async fn cancelled(&self) {
        self.0.raised().await;
    }
}
