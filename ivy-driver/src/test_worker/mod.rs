//! Runs handlers in tests, without a queue and without a worker in the background.

mod caller;
mod context;
mod delivery;
mod failure;
mod recorded_calls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ivy_proto::TaskId;
use ivy_proto::backend::Notifier;
use ivy_proto::config::{Config, Environment, NotifierConfig, QueueConfig};
use ivy_proto::metrics::Backends;
use ivy_proto::task::{BadArgs, FromArgs, RegisterError, Task, ToArgs};
use ivy_proto::worker::TraceRelation;
use serde::de::DeserializeOwned;

use crate::clock::Clock;
use crate::error::Error;
use crate::events::EventSink;
use crate::handlers::Adapter;
use crate::ivy::{Addresses, Ivy, Parts};
use crate::memory::Memory;
use crate::memory_queue::MemoryQueue;
use crate::random::random;
use crate::runtime::Runtime;
use crate::trace::Tracer;
use crate::worker_builder::WorkerBuilder;

pub use context::CtxBuilder;
pub use failure::{NextStep, TestFailure, TestFailureKind};
pub use recorded_calls::RecordedCall;

use delivery::{Conditions, Delivery};
use recorded_calls::{CallLog, RecordingQueue};

/// Runs a handler in a test: once for each call of `run`, without a server, with a chosen attempt,
/// time limit and cancellation.
///
/// The handler is registered as on a [`WorkerBuilder`], and runs as in a worker: the call becomes a
/// message, the worker's state machine reads it and decides what follows, and the result returns as a
/// notice. So a contract that does not match its handler, or a result that is too large, fails here as
/// it does in production. What a handler calls through [`Ctx::ivy`](crate::Ctx::ivy), or through a
/// clone of [`ivy`](TestWorker::ivy) that it captured, is recorded.
///
/// With tokio, a test may pause the time of its runtime.
pub struct TestWorker<R: Adapter> {
    worker: WorkerBuilder<R>,
    /// The state that a handler takes and the worker lacks.
    missing_state: Option<RegisterError>,
    log: CallLog,
    conditions: Conditions,
}

impl<R: Adapter> TestWorker<R> {
    /// A worker without handlers. It reads nothing from the environment.
    ///
    /// # Errors
    /// [`Config`](crate::ErrorKind::Config) if the system provides no random numbers.
    pub fn new() -> Result<Self, Error<R>> {
        let (ivy, log) = test_ivy()?;
        let worker = ivy.worker().presence(false).for_test();
        Ok(TestWorker { worker, missing_state: None, log, conditions: Conditions::default() })
    }

    /// Changes the builder of its worker: registers handlers with the function that the program uses
    /// for its own worker, or sets anything else that the builder offers.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(WorkerBuilder<R>) -> WorkerBuilder<R>) -> Self {
        self.worker = change(self.worker);
        self.missing_state = self.worker.set_states().err();
        self
    }

    /// The id of the task, as [`CallOptions::id`](ivy_proto::task::CallOptions::id) sets it: the
    /// handler sees it as [`Ctx::task_id`](crate::Ctx::task_id). Every run has it, as the attempts
    /// of one task do. Default: a new one for each run.
    #[must_use]
    pub fn id(mut self, id: TaskId) -> Self {
        self.conditions.id = Some(id);
        self
    }

    /// The number of the attempt, from 1. Default: 1. Whether a failure is retried depends on it.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.conditions.attempt = attempt;
        self
    }

    /// The time limit of the handler, which sets its [deadline](crate::Ctx::deadline). Default: the
    /// [time limit](Task::time_limit) of its task.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.conditions.time_limit = Some(limit);
        self
    }

    /// Cancels the handler after this time, as when the lease of its message is lost.
    #[must_use]
    pub fn cancel_after(mut self, time: Duration) -> Self {
        self.conditions.cancel_after = Some(time);
        self
    }

    /// Runs the handler with a token that is already cancelled.
    #[must_use]
    pub fn cancelled(self) -> Self {
        self.cancel_after(Duration::ZERO)
    }

    /// The `Ivy` that handlers receive with their [`Ctx`](crate::Ctx), for handlers that capture one.
    /// It is in memory and has no worker. To answer what a handler waits for, start one:
    /// `test.ivy().worker()..`.
    #[must_use]
    pub fn ivy(&self) -> &Ivy<R> {
        self.worker.ivy()
    }

    /// The calls and sends that its [`ivy`](TestWorker::ivy) has accepted so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.log.calls()
    }

    /// The arguments of the calls and sends of this task, in order.
    ///
    /// # Errors
    /// If the arguments of one of them are not of the task's types.
    pub fn calls_of<Args: FromArgs, Output>(
        &self,
        task: &Task<Args, Output>,
    ) -> Result<Vec<Args>, BadArgs> {
        let calls = self.log.calls();
        let of_task = calls.iter().filter(|call| call.task().as_str() == task.name());
        of_task.map(RecordedCall::args).collect()
    }

    /// Runs the handler of this task once.
    pub(crate) async fn deliver<Args: ToArgs, Output: DeserializeOwned>(
        &self,
        task: &Task<Args, Output>,
        args: &Args,
    ) -> Result<Output, TestFailure> {
        let (ivy, handlers, setup) = self.worker.parts();
        let mut setup = setup.clone();
        if let Some(missing) = &self.missing_state {
            setup.registered(Err(missing.clone()));
        }
        let delivery = Delivery::prepare(task, args, ivy, handlers, setup, self.conditions)
            .map_err(|cause| TestFailure::not_delivered(&cause))?;
        delivery.run().await
    }
}

impl<R: Adapter> fmt::Debug for TestWorker<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestWorker").field("worker", &self.worker).finish_non_exhaustive()
    }
}

/// An ivy in memory whose calls are recorded.
fn test_ivy<R: Runtime>() -> Result<(Ivy<R>, CallLog), Error<R>> {
    let config = Config::builder().queue(QueueConfig::Memory).notifier(NotifierConfig::Memory);
    let config = config.resolve(&Environment::empty()).map_err(Error::config)?;
    let clock = Clock::start();
    let memory = Memory::private(clock, random()?);
    let notifier: Arc<dyn Notifier> = Arc::new(memory.clone());
    let codec = config.codec().map_err(Error::config)?;
    let log = CallLog::new(codec.clone());
    let queue = RecordingQueue::new(MemoryQueue::of(memory.clone()), log.clone());
    let address = config.queue.as_ref().and_then(QueueConfig::address).map(str::to_owned);
    let backend = NotifierConfig::Memory.name();
    let ivy = Ivy::new(Parts {
        queue: Arc::new(queue),
        notifier: Some(notifier),
        codec,
        keyset_file: None,
        channel: config.channel,
        node_compatible: false,
        node_peers: false,
        within: None,
        backends: Backends::new(backend, Some(backend)),
        tracer: Tracer::new(None, TraceRelation::default(), backend),
        addresses: Addresses { queue: address.clone(), notifier: address },
        memory: Some(memory),
        clock,
        events: EventSink::new(clock),
        sources: config.sources,
    })?;
    Ok((ivy, log))
}
