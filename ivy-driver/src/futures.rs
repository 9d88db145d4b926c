//! The asynchronous methods, and handlers that are futures.

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use ivy_proto::admin::Peeked;
use ivy_proto::check::CheckReport;
use ivy_proto::event::Event;
use ivy_proto::health::WorkerHealth;
use ivy_proto::metrics::Snapshot;
use ivy_proto::presence::Heard;
use ivy_proto::queue::{QueueInfo, QueueSettings};
use ivy_proto::task::{
    CallOptions, Done, FromArgs, Handler, NamedTask, Next, RegisterError, Registry, States, Task,
    TaskSettings, TaskSpec, ToArgs, discard_panic,
};
use ivy_proto::wire::RawJson;
use ivy_proto::worker::JobOutcome;
use ivy_proto::{MessageId, QueueName, TaskError, TaskId, TaskName};
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
use crate::sweep::{RunningSweep, SweepStep};
use crate::test_worker::{TestFailure, TestWorker};
use crate::worker::Worker;
use crate::worker_builder::WorkerBuilder;
use crate::worker_watch::WorkerWatch;

impl<R: AsyncRuntime> Ivy<R> {
    /// Calls a task and returns a handle that waits for its result. Returns when the queue has
    /// accepted the task.
    ///
    /// If the future is dropped before it completes, the task may or may not be sent.
    ///
    /// # Errors
    /// See [`ErrorKind`](crate::ErrorKind) for what can prevent a task from being sent.
    pub async fn call<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<Handle<R, Output>, Error<R>> {
        let sending = self.begin(task, &args, &CallOptions::new(), Until::Result)?;
        drop(args);
        Ok(Handle::new(sending.sent().await?))
    }

    /// Calls a task as [`call`](Ivy::call) does, with options.
    ///
    /// # Errors
    /// As [`call`](Ivy::call); also if an option is invalid.
    pub async fn call_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
        options: CallOptions,
    ) -> Result<Handle<R, Output>, Error<R>> {
        let sending = self.begin(task, &args, &options, Until::Result)?;
        drop((args, options));
        Ok(Handle::new(sending.sent().await?))
    }

    /// Sends a task without waiting for its result: only callbacks of [`on_result`](Ivy::on_result)
    /// receive it. Returns when the queue has accepted the task.
    ///
    /// If the future is dropped before it completes, the task may or may not be sent.
    ///
    /// # Errors
    /// See [`ErrorKind`](crate::ErrorKind) for what can prevent a task from being sent.
    pub async fn send<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<TaskId, Error<R>> {
        let sending = self.begin(task, &args, &CallOptions::new(), Until::Sent)?;
        drop(args);
        Ok(sending.sent().await?.task().id)
    }

    /// Sends a task as [`send`](Ivy::send) does, with options.
    ///
    /// # Errors
    /// As [`send`](Ivy::send); also if an option is invalid.
    pub async fn send_with<Args: ToArgs, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
        options: CallOptions,
    ) -> Result<TaskId, Error<R>> {
        let sending = self.begin(task, &args, &options, Until::Sent)?;
        drop((args, options));
        Ok(sending.sent().await?.task().id)
    }

    /// Calls a task of which only the name is known, as [`call_with`](Ivy::call_with) does.
    ///
    /// # Errors
    /// As [`call_with`](Ivy::call_with); also if the arguments are not an array.
    pub async fn call_by_name(
        &self,
        task: &NamedTask,
        args: RawJson,
        options: &CallOptions,
    ) -> Result<Handle<R, RawJson>, Error<R>> {
        let sending = self.begin_by_name(task, args, options, Until::Result)?;
        Ok(Handle::new(sending.sent().await?))
    }

    /// Sends a task of which only the name is known, as [`send_with`](Ivy::send_with) does. Returns
    /// the ids of the task and of its message.
    ///
    /// # Errors
    /// As [`send_with`](Ivy::send_with); also if the arguments are not an array.
    pub async fn send_by_name(
        &self,
        task: &NamedTask,
        args: RawJson,
        options: &CallOptions,
    ) -> Result<(TaskId, MessageId), Error<R>> {
        let sending = self.begin_by_name(task, args, options, Until::Sent)?;
        let (listener, message) = sending.posted().await?;
        Ok((listener.task().id, message))
    }
}

impl<R: AsyncRuntime> Ivy<R> {
    /// What this [`Ivy`], its clones and all their workers have counted so far, including workers that
    /// have ended. Write it for Prometheus with
    /// [`write_openmetrics`](Snapshot::write_openmetrics).
    ///
    /// A worker whose runtime is blocked for a second is represented by its last known state.
    pub async fn metrics(&self) -> Snapshot {
        self.meters().read::<R>().await
    }

    /// Checks that the queue's server and the notifier are reached and accept the credentials, and that
    /// what the keys seal can be opened: for a readiness probe, and for the start of a program.
    /// Queue and notifier have `limit` each, at the same time.
    ///
    /// It is cheap and changes nothing. The queue is asked for one that need not exist, and no message
    /// is posted or reserved. The notifier carries one small publication to a channel that nobody else
    /// listens to. What cannot be checked, such as a queue of a kind that answers no such request, is
    /// reported as [`NotChecked`](ivy_proto::check::Checked::NotChecked) and is no error.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue), [`NotifierUnavailable`](crate::ErrorKind::NotifierUnavailable)
    /// or, for keys, [`Config`](crate::ErrorKind::Config), by the first part that fails. The text
    /// names all parts that fail, and [`check_report`](Error::check_report) returns what was found.
    pub async fn check(&self, limit: Duration) -> Result<CheckReport, Error<R>> {
        self.check_parts(limit).await
    }

    /// Listens for this long and returns the workers that were heard: all those of this notification
    /// channel that publish their presence, wherever they run. A worker publishes at most 15 s after
    /// the listening began, so 16 s or more hear all of them.
    ///
    /// Hearing nobody is not an error, and does not mean that there is no worker: see
    /// [`WorkerWatch`].
    ///
    /// # Errors
    /// [`NoNotifier`](crate::ErrorKind::NoNotifier) without a notifier;
    /// [`NotifierUnavailable`](crate::ErrorKind::NotifierUnavailable) if it could not be reached in
    /// that time.
    pub async fn workers(&self, duration: Duration) -> Result<Heard, Error<R>> {
        self.worker_watch()?.hear(duration).await
    }

    /// Prepares to listen for workers repeatedly. What was heard is remembered, so that rates are
    /// known from the second record of each worker on.
    ///
    /// # Errors
    /// [`NoNotifier`](crate::ErrorKind::NoNotifier) without a notifier.
    pub fn watch_workers(&self) -> Result<WorkerWatch<R>, Error<R>> {
        self.worker_watch()
    }
}

impl<R: AsyncRuntime> WorkerWatch<R> {
    /// Listens for this long, and returns what was heard since the watch was created. Workers that
    /// were silent for ten minutes are forgotten. Between two calls the subscription stays; as many
    /// as 1,024 records may wait to be read.
    ///
    /// This is cancel safe: it can be called again.
    ///
    /// # Errors
    /// [`NotifierUnavailable`](crate::ErrorKind::NotifierUnavailable) if the notifier could not be
    /// reached so far.
    pub async fn listen(&mut self, duration: Duration) -> Result<Heard, Error<R>> {
        self.hear(duration).await
    }
}

impl<R: AsyncRuntime, Output: DeserializeOwned> Handle<R, Output> {
    /// Waits for the task's result, for `timeout` at most. Several callers may wait at the same
    /// time; each receives the result.
    ///
    /// This is cancel safe: the result can be waited for again, also after
    /// [`TimedOut`](crate::ErrorKind::TimedOut).
    ///
    /// # Errors
    /// [`TimedOut`](crate::ErrorKind::TimedOut); in a handler,
    /// [`Draining`](crate::ErrorKind::Draining) once its worker drains; and if the task
    /// [`Failed`](crate::ErrorKind::Failed) permanently, its result is [too
    /// large](crate::ErrorKind::ResultTooLarge) or [not of type
    /// `Output`](crate::ErrorKind::BadResult), or the runtime [has
    /// ended](crate::ErrorKind::Stopped).
    pub async fn result(&self, timeout: Duration) -> Result<Output, Error<R>> {
        self.wait(timeout).await
    }
}

impl<R: AsyncRuntime> WorkerBuilder<R> {
    /// Registers the handler of a task, given as a [`Task`] or by name alone. A task registered by
    /// name is reserved from this worker's [`queue`](WorkerBuilder::queue).
    ///
    /// The handler is an async function or closure that takes the task's arguments as owned values,
    /// preceded by a [`Ctx`] if it wants one, and before that by up to four
    /// [`State`](ivy_proto::task::State)s of the worker. It must not block its thread: use the runtime's
    /// `spawn_blocking` for blocking work. If a handler panics, the attempt fails, and the error
    /// contains the panic's text.
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

    /// Adds a layer around the handlers of all tasks: code that runs before and after them, in
    /// their span and within their time limit. The first layer is the outermost.
    ///
    /// A layer is a closure that returns a future. It calls [`Next::run`], or returns an error
    /// instead, and the handler does not run. It receives the [`Ctx`] of the handler, which is
    /// cheap to clone. If a layer panics, the attempt fails as if the handler had panicked.
    pub fn layer<Layered>(
        self,
        layer: impl Fn(Next<Ctx<R>>, Ctx<R>) -> Layered + Send + Sync + 'static,
    ) -> Self
    where
        Layered: Future<Output = Result<Done, TaskError>> + Send + 'static,
    {
        self.handler(|handlers| {
            handlers.registry.layer(layer);
            Ok(())
        })
    }

    /// Starts the worker. With tokio, call it inside a runtime.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if a name or number is invalid, a task is registered
    /// twice or by name without a queue, no task is registered, or a handler takes a
    /// [`State`](ivy_proto::task::State) that the worker does not have.
    pub async fn start(self) -> Result<Worker<R>, Error<R>> {
        self.run()
    }
}

impl<R: AsyncRuntime> TestWorker<R> {
    /// Registers the handler of a task, as [`WorkerBuilder::register`] does.
    #[must_use]
    pub fn register<Args, Output, Marker>(
        self,
        task: impl TaskSpec<Args, Output>,
        handler: impl Handler<Ctx<R>, Args, Output, Marker>,
    ) -> Self
    where
        Args: FromArgs,
        Output: Serialize,
    {
        self.with(|worker| worker.register(task, handler))
    }

    /// Runs the handler of this task once, with these arguments, and returns its result. If the future
    /// is dropped, the handler runs on.
    ///
    /// # Errors
    /// A [`TestFailure`] with what the handler returned instead, and what a worker does next.
    pub async fn run<Args: ToArgs, Output: DeserializeOwned>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<Output, TestFailure> {
        self.deliver(task, &args).await
    }
}

impl<R: AsyncRuntime> Worker<R> {
    /// Stops the worker gracefully: it reserves no more messages, waits until its handlers have
    /// returned, settles their messages, publishes their results and releases the messages it has
    /// not started. After `limit`, the remaining handlers are cancelled and their messages released
    /// too.
    ///
    /// If the future is dropped, the drain continues; call this again to wait for it.
    pub async fn drain(&self, limit: Duration) {
        if let Some(ended) = self.begin_drain(limit) {
            ended.raised().await;
        }
    }

    /// How the worker is: what it does, how its queues answer, and what fails. Its text is for
    /// people; [`is_live`](WorkerHealth::is_live) and [`is_ready`](WorkerHealth::is_ready) are what
    /// probes ask, for a program that serves them itself. [`WorkerBuilder::health`] serves them over
    /// HTTP.
    ///
    /// A worker whose loop does not answer within half a second is represented by its last answer.
    pub async fn health(&self) -> WorkerHealth {
        self.read_health().await
    }
}

impl<R: AsyncRuntime> Admin<R> {
    /// Returns the next `count` messages of a physical queue, 1 to 100, without reserving them.
    /// Reserved and delayed messages are not included.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be reached, refuses the request or
    /// does not exist; [`Config`](crate::ErrorKind::Config) if its name or the count is invalid.
    pub async fn peek(&self, queue: &str, count: usize) -> Result<Vec<Peeked>, Error<R>> {
        self.messages(queue, count).await
    }

    /// Returns one message of a physical queue, which may be reserved or delayed, without reserving
    /// it. An id that [`peek`](Self::peek) has numbered, such as `ID.2`, is looked for among the next
    /// 100 messages.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be reached, refuses the request, or has
    /// no such message.
    pub async fn get(&self, queue: &str, message: &MessageId) -> Result<Peeked, Error<R>> {
        self.message(queue, message).await
    }

    /// Returns the next `count` messages, 1 to 100, of each of these physical queues, in order. A few
    /// requests are in flight at a time.
    pub async fn peek_each(
        &self,
        queues: &[QueueName],
        count: usize,
    ) -> Vec<Result<Vec<Peeked>, Error<R>>> {
        self.all_messages(queues, count).await
    }

    /// Creates a physical queue with the server's own settings, unless it exists. Queues are created
    /// by their first message as well.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be reached or refuses the
    /// request.
    pub async fn create(&self, queue: &str) -> Result<QueueInfo, Error<R>> {
        self.make(queue).await
    }

    /// Changes settings of a physical queue. Those that are not specified stay as they are. Some
    /// servers create a queue that does not exist.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be reached, refuses the
    /// request, or has no settings: then the fault's kind is
    /// [`Unsupported`](ivy_proto::queue::FaultKind::Unsupported).
    pub async fn update(
        &self,
        queue: &str,
        settings: QueueSettings,
    ) -> Result<QueueInfo, Error<R>> {
        self.change_settings(queue, settings).await
    }

    /// Deletes a physical queue with all its messages, including reserved ones.
    ///
    /// If the future is dropped, the queue may or may not be deleted.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be reached, refuses the request or
    /// does not exist.
    pub async fn delete(&self, queue: &str) -> Result<(), Error<R>> {
        self.remove(queue).await
    }

    /// Deletes all messages of a physical queue, including reserved ones.
    ///
    /// If the future is dropped, the messages may or may not be deleted.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be reached, refuses the request or
    /// does not exist.
    pub async fn clear(&self, queue: &str) -> Result<(), Error<R>> {
        self.delete_all(queue).await
    }

    /// Returns the settings and sizes of a physical queue.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue cannot be reached, refuses the request or
    /// does not exist.
    pub async fn info(&self, queue: &str) -> Result<QueueInfo, Error<R>> {
        self.settings(queue).await
    }

    /// Returns the settings and sizes of each of these physical queues, in order. A few requests are
    /// in flight at a time.
    pub async fn info_each(&self, queues: &[QueueName]) -> Vec<Result<QueueInfo, Error<R>>> {
        self.all_settings(queues).await
    }

    /// Lists the physical queues whose names begin with `prefix`, in order; all of them if it is
    /// empty.
    ///
    /// # Errors
    /// [`Queue`](crate::ErrorKind::Queue) if the queue backend cannot be reached, refuses the
    /// request, or has more than 100,000 such queues.
    pub async fn list(&self, prefix: &str) -> Result<Vec<QueueName>, Error<R>> {
        self.names(prefix).await
    }
}

impl<R: AsyncRuntime> RunningSweep<R> {
    /// Waits for the next step; `None` after [`Finished`](SweepStep::Finished).
    ///
    /// This is cancel safe: the sweep continues with the next call.
    pub async fn next(&mut self) -> Option<SweepStep> {
        self.step().await
    }
}

impl<R: AsyncRuntime> Events<R> {
    /// Waits for the next event; `None` once no more will come.
    ///
    /// This is cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.take() {
                Ok(event) => return event,
                Err(changed) => changed.await,
            }
        }
    }
}

/// Handlers that are futures, each run as a task of its own.
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

    fn set_states(&mut self, states: States) -> Result<(), RegisterError> {
        self.registry.set_states(states)
    }

    /// The machine limits how many handlers run, and tasks need no further limit.
    fn set_concurrency(&mut self, _: usize) {}

    fn run(&self, ctx: Ctx<R>, args: RawJson, ended: HandlerCompletion) {
        let (token, span) = (ctx.cancelled().clone(), ctx.span().clone());
        let waits = ctx.waits().clone();
        let task = ctx.task_name().clone();
        let handler = self.registry.run(&task, ctx, args);
        let running = async move {
            let Some(handler) = handler else {
                let error = TaskError::new("the worker has no handler for this task");
                return JobOutcome::Failed(error);
            };
            // Polled in this order, so that the result of a handler that ends on cancellation is
            // used.
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
            // A panic of the handler itself is already an outcome. A panic here comes from dropping
            // its values and must not leave the worker without an outcome.
            let outcome = AssertUnwindSafe(running).catch_unwind().await;
            ended.with(outcome.unwrap_or_else(|payload| {
                discard_panic(payload);
                JobOutcome::Cancelled
            }));
        };
        if let Err(error) = R::spawn("ivy-handler", task.instrument(span)) {
            tracing::error!(%error, "cannot run a handler");
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
            // A panic of a callback is not propagated.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(callback)) {
                discard_panic(payload);
            }
        };
        if let Err(error) = R::spawn("ivy-callback", task) {
            tracing::error!(%error, "cannot run a callback");
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

/// Signals cancellation to a handler and to the work that it started elsewhere. Clones are
/// cancelled together. For runtimes that have no such token of their own.
#[derive(Clone, Debug, Default)]
pub struct CancellationToken(Flag);

impl CancellationToken {
    /// Cancels the token and its clones.
    pub fn cancel(&self) {
        self.0.raise();
    }

    /// Whether the token is cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_raised()
    }

    /// Waits until the token is cancelled. This is cancel safe.
    pub async fn cancelled(&self) {
        self.0.raised().await;
    }
}
