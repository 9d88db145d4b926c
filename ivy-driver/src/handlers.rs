//! How the handlers of a worker are run.

use std::fmt;

use futures_channel::mpsc::UnboundedSender;
use ivy_proto::task::{RegisterError, States, TaskSettings};
use ivy_proto::wire::RawJson;
use ivy_proto::worker::{Input, JobOutcome};
use ivy_proto::{JobId, TaskName};

use crate::context::Ctx;
use crate::runtime::Runtime;
use crate::trace::ProcessSpan;

/// A runtime that runs handlers. Each [`AsyncRuntime`](crate::AsyncRuntime) is one.
pub trait Adapter: Runtime {
    /// The handlers of a worker.
    type Handlers: Handlers<Self>;
}

/// The handlers of a worker, and how they are run.
pub trait Handlers<R: Runtime>: fmt::Debug + Default + Send + 'static {
    /// The tasks that have a handler, with their settings unless they are registered by name alone.
    fn tasks(&self) -> impl Iterator<Item = (&TaskName, Option<&TaskSettings>)>;

    /// Sets the states that handlers take. Called before the first one runs.
    ///
    /// # Errors
    /// If a handler takes one that is missing.
    fn set_states(&mut self, states: States) -> Result<(), RegisterError>;

    /// Sets how many handlers may run at the same time. Called before the first one runs.
    fn set_concurrency(&mut self, handlers: usize);

    /// Runs the handler of the context's task, in the context's span, and reports how it ended.
    fn run(&self, ctx: Ctx<R>, args: RawJson, ended: HandlerCompletion);
}

/// Reports how a handler ended. If it is dropped without a report, the handler was cut off, or was
/// not run at all if it had not [begun](HandlerCompletion::begin).
#[derive(Debug)]
pub struct HandlerCompletion {
    job: JobId,
    mailbox: UnboundedSender<Input>,
    span: ProcessSpan,
    outcome: JobOutcome,
}

impl HandlerCompletion {
    pub(crate) fn new(job: JobId, mailbox: UnboundedSender<Input>, span: ProcessSpan) -> Self {
        HandlerCompletion { job, mailbox, span, outcome: JobOutcome::NotRun }
    }

    /// Reports that the handler begins.
    pub fn begin(&mut self) {
        self.outcome = JobOutcome::Cancelled;
    }

    /// Reports the outcome of the handler.
    pub fn with(mut self, outcome: JobOutcome) {
        self.outcome = outcome;
    }
}

impl Drop for HandlerCompletion {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, JobOutcome::Cancelled);
        self.span.ended(&outcome);
        let _ = self.mailbox.unbounded_send(Input::Job(self.job, outcome));
    }
}
