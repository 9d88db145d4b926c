//! What the scenarios need from an adapter: its public interface, in blocking form.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use ivy_proto::admin::{Report, SweepConfig};
use ivy_proto::check::CheckReport;
use ivy_proto::event::Event;
use ivy_proto::metrics::Snapshot;
use ivy_proto::presence::Heard;
use ivy_proto::queue::QueueInfo;
use ivy_proto::task::{
    BlockingHandler, CallOptions, FromArgs, Handler, Task, TaskError, TaskFailure, TaskSpec, ToArgs,
};
use ivy_proto::wire::crypto::Encryption;
use ivy_proto::wire::{Content, TraceParent, TraceState};
use ivy_proto::{Backoff, Cause, ErrorKind, MessageId, QueueName, TaskId};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An adapter: its `Ivy`, driven from threads that block. Each method is the one of the same name,
/// awaited on the adapter's runtime.
pub(crate) trait Harness: Clone + fmt::Debug + Send + Sync + 'static {
    /// The adapter's name in the names of tests.
    const ADAPTER: &'static str;

    type Error: Failure;
    type Handle<Output: 'static>: Handle<Output, Error = Self::Error> + 'static;
    type Builder: Builder<Error = Self::Error>;
    type WorkerWatch: WorkerWatch<Error = Self::Error>;

    fn connect(config: &HarnessConfig) -> Result<Self, Self::Error>;

    fn call_with<Args: ToArgs + Send, Output: 'static>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
        options: CallOptions,
    ) -> Result<Self::Handle<Output>, Self::Error>;

    fn call<Args: ToArgs + Send, Output: 'static>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<Self::Handle<Output>, Self::Error> {
        self.call_with(task, args, CallOptions::new())
    }

    fn call_many<Args: ToArgs + Send, Output: 'static>(
        &self,
        task: &Task<Args, Output>,
        args: impl IntoIterator<Item = Args>,
    ) -> Vec<Result<Self::Handle<Output>, Self::Error>>;

    fn send_with<Args: ToArgs + Send, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
        options: CallOptions,
    ) -> Result<TaskId, Self::Error>;

    fn send<Args: ToArgs + Send, Output>(
        &self,
        task: &Task<Args, Output>,
        args: Args,
    ) -> Result<TaskId, Self::Error> {
        self.send_with(task, args, CallOptions::new())
    }

    fn on_result<Args, Output>(
        &self,
        task: &Task<Args, Output>,
        callback: impl Fn(Args, Result<Output, Self::Error>) + Send + Sync + 'static,
    ) -> Result<(), Self::Error>
    where
        Args: FromArgs + 'static,
        Output: DeserializeOwned + 'static;

    fn into_handle<Args, Output: 'static>(
        error: Self::Error,
        task: &Task<Args, Output>,
    ) -> Option<Self::Handle<Output>>;

    fn worker(&self) -> Self::Builder;

    fn info(&self, queue: &str) -> Result<QueueInfo, Self::Error>;
    fn peek(&self, queue: &str) -> Result<Vec<Content>, Self::Error>;
    fn clear(&self, queue: &str) -> Result<(), Self::Error>;
    /// Runs a sweep, and confirms its plan.
    fn sweep(&self, config: SweepConfig) -> Result<Report, Self::Error>;

    /// The events from now on, in order.
    fn events(&self) -> Receiver<Event>;

    fn check(&self, limit: Duration) -> Result<CheckReport, Self::Error>;
    fn metrics(&self) -> Snapshot;
    fn workers(&self, duration: Duration) -> Result<Heard, Self::Error>;
    fn watch_workers(&self) -> Result<Self::WorkerWatch, Self::Error>;
}

pub(crate) trait WorkerWatch {
    type Error;

    fn listen(&mut self, duration: Duration) -> Result<Heard, Self::Error>;
}

/// What a [`Harness`] connects to.
#[derive(Clone, Debug)]
pub(crate) struct HarnessConfig {
    pub(crate) queue: String,
    /// Nothing where the queue's own server is the notifier.
    pub(crate) notifier: Option<String>,
    pub(crate) channel: String,
    pub(crate) encryption_password: Option<String>,
    /// The keys, and what the queues send and accept.
    pub(crate) encryption: Option<Encryption>,
    pub(crate) root_certificates: Option<Vec<u8>>,
    pub(crate) node_peers: bool,
    /// How long a call may take to be sent.
    pub(crate) within: Option<Duration>,
}

pub(crate) trait Failure: std::error::Error + Send + Sync + 'static {
    fn kind(&self) -> ErrorKind;
    fn cause(&self) -> &Cause;
    fn failure(&self) -> Option<&TaskFailure>;
    fn task_id(&self) -> Option<TaskId>;
    fn queue(&self) -> Option<&QueueName>;
}

pub(crate) trait Handle<Output>: fmt::Debug + Send + Sync {
    type Error;

    fn id(&self) -> TaskId;

    fn result(&self, timeout: Duration) -> Result<Output, Self::Error>
    where
        Output: DeserializeOwned;
}

pub(crate) trait Builder: Sized {
    type Error;
    type Worker: Worker;

    fn register<Args, Output, Function>(
        self,
        task: impl TaskSpec<Args, Output>,
        handler: Function,
    ) -> Self
    where
        Args: FromArgs + Send + 'static,
        Output: Serialize + Send + 'static,
        Function: Fn(Job, Args) -> Result<Output, TaskError> + Send + Sync + 'static;

    fn queue(self, queue: &str) -> Self;
    fn concurrency(self, handlers: usize) -> Self;
    fn lease(self, lease: Duration) -> Self;
    fn route(self, route: &str) -> Self;
    fn weight(self, queue: &str, weight: u32) -> Self;
    fn priorities(self, priorities: impl IntoIterator<Item = u8>) -> Self;
    fn backoff(self, backoff: Backoff) -> Self;
    fn max_deliveries(self, deliveries: u32) -> Self;
    fn drain_limit(self, limit: Duration) -> Self;
    fn presence(self, enabled: bool) -> Self;
    fn start(self) -> Result<Self::Worker, Self::Error>;
}

pub(crate) trait Worker: fmt::Debug + Send + Sync + 'static {
    fn pause(&self);
    fn resume(&self);
    fn pause_notifier(&self);
    fn resume_notifier(&self);
    fn drain(&self, limit: Duration);
}

/// What a scenario's handler knows about its task: the adapter's `Ctx`.
pub(crate) struct Job {
    pub(crate) task_id: TaskId,
    pub(crate) message_id: MessageId,
    pub(crate) queue: QueueName,
    pub(crate) attempt: u32,
    pub(crate) max_attempts: u32,
    pub(crate) trace: Option<TraceParent>,
    pub(crate) tracestate: Option<TraceState>,
    pub(crate) cancelled_within: Box<dyn Fn(Duration) -> bool + Send>,
    /// Calls a task with a number on the `Ivy` of the `Ctx`, and waits for its result.
    pub(crate) call: Box<CallFn>,
}

type CallFn = dyn Fn(&Task<(u64,), u64>, u64) -> Result<u64, TaskError> + Send;

impl Job {
    /// Waits this long for the handler to be cancelled. Returns whether it was.
    pub(crate) fn is_cancelled_within(&self, limit: Duration) -> bool {
        (self.cancelled_within)(limit)
    }
}

/// A scenario's handler: a function that may block, in the form that each adapter can run.
pub(crate) struct ScenarioHandler<Function>(pub(crate) Arc<Function>);

/// Marks the handlers of scenarios.
pub(crate) enum ScenarioMarker {}

pub(crate) trait Context: Send + 'static {
    fn job(self) -> Job;
}

/// The `Ctx` of an adapter whose handlers are futures. Scenarios run their work in a thread, so
/// that it may block.
pub(crate) trait AsyncContext: Context {
    /// Runs this in a thread and returns its result or its panic.
    fn in_thread<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = thread::Result<T>> + Send;
}

impl<Ctx, Args, Output, Function> Handler<Ctx, Args, Output, ScenarioMarker>
    for ScenarioHandler<Function>
where
    Ctx: AsyncContext,
    Args: FromArgs + Send + 'static,
    Output: Send + 'static,
    Function: Fn(Job, Args) -> Result<Output, TaskError> + Send + Sync + 'static,
{
    type States = ();

    async fn call(&self, (): (), ctx: Ctx, args: Args) -> Result<Output, TaskError> {
        let function = Arc::clone(&self.0);
        let done = Ctx::in_thread(move || function(ctx.job(), args)).await;
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl<Ctx, Args, Output, Function> BlockingHandler<Ctx, Args, Output, ScenarioMarker>
    for ScenarioHandler<Function>
where
    Ctx: Context,
    Args: FromArgs,
    Function: Fn(Job, Args) -> Result<Output, TaskError> + Send + Sync + 'static,
{
    type States = ();

    fn call(&self, (): (), ctx: Ctx, args: Args) -> Result<Output, TaskError> {
        (self.0)(ctx.job(), args)
    }
}
