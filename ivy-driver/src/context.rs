//! The context of a running handler.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use ivy_proto::wire::crypto::MessageKey;
use ivy_proto::wire::{TraceParent, TraceState};
use ivy_proto::worker::Run;
use ivy_proto::{MessageId, QueueName, TaskId, TaskName};

use crate::handler_waits::HandlerWaits;
use crate::ivy::Ivy;
use crate::runtime::Runtime;
use crate::trace::ProcessSpan;

/// The context of a running handler: its task, message, attempt and deadline. A handler receives it
/// if it has a parameter of type `Ctx` before its arguments. Cheap to clone.
pub struct Ctx<R: Runtime>(Arc<Running<R>>);

struct Running<R: Runtime> {
    run: Run,
    deadline: Option<Instant>,
    cancelled: R::CancellationToken,
    span: ProcessSpan,
    waits: HandlerWaits,
    ivy: Ivy<R>,
}

impl<R: Runtime> Ctx<R> {
    pub(crate) fn new(run: Run, ivy: Ivy<R>, waits: HandlerWaits) -> Self {
        let ivy = ivy.of_handler(waits.clone());
        let deadline = run.deadline.and_then(|moment| ivy.clock().instant(moment));
        let span = ivy.tracer().process(&run);
        let cancelled = R::CancellationToken::default();
        Ctx(Arc::new(Running { run, deadline, cancelled, span, waits, ivy }))
    }

    /// The called task's id, the same for all its attempts, and for all calls that chose it with
    /// [`CallOptions::id`](ivy_proto::task::CallOptions::id). A handler that must act only once can
    /// use it as an idempotency key: it claims the id in the database in which it acts.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.0.run.id
    }

    /// The task's name.
    #[must_use]
    pub fn task_name(&self) -> &TaskName {
        &self.0.run.task
    }

    /// The physical queue that the task came from.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.0.run.queue
    }

    /// The message that carried the task.
    #[must_use]
    pub fn message_id(&self) -> &MessageId {
        &self.0.run.message
    }

    /// Identifies the message if it is authenticated (bridge and v2 frames). The key stays the same
    /// across redeliveries, also for a copy that another program posted. A handler that stores it
    /// together with its effects can detect duplicates.
    #[must_use]
    pub fn message_key(&self) -> Option<MessageKey> {
        self.0.run.message_key
    }

    /// The number of this attempt, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.0.run.attempt
    }

    /// The number of attempts allowed.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.0.run.max_attempts
    }

    /// When the handler will be cancelled, or in a thread asked to stop, if the task has a time
    /// limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline
    }

    /// A token that is cancelled when the handler must stop: its lease was lost, its time limit has
    /// passed, or the worker shuts down without waiting longer.
    ///
    /// A handler that is a future is dropped at its next `.await`; the token is for work that it
    /// started elsewhere, such as blocking work and other tasks.
    ///
    /// A thread cannot be stopped from outside. A long-running handler in a thread checks the token
    /// now and then, and waits on it instead of sleeping. Until it returns it occupies one of the
    /// worker's [`concurrency`](crate::WorkerBuilder::concurrency) threads.
    #[must_use]
    pub fn cancelled(&self) -> &R::CancellationToken {
        &self.0.cancelled
    }

    /// Whether the handler must stop: see [`cancelled`](Ctx::cancelled).
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        R::is_cancelled(&self.0.cancelled)
    }

    /// The tracing span that the handler runs in, for work that it starts elsewhere.
    #[must_use]
    pub fn span(&self) -> &tracing::Span {
        self.0.span.span()
    }

    pub(crate) fn process_span(&self) -> &ProcessSpan {
        &self.0.span
    }

    /// The caller's trace context, if the call contains one.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceParent> {
        self.0.run.trace.as_ref()
    }

    /// The vendor-specific part of the caller's trace context, if any.
    #[must_use]
    pub fn tracestate(&self) -> Option<&TraceState> {
        self.0.run.tracestate.as_ref()
    }

    /// The results that the handler waits for.
    pub(crate) fn waits(&self) -> &HandlerWaits {
        &self.0.waits
    }

    /// The worker's [`Ivy`], to call follow-up tasks with.
    ///
    /// A handler that waits for a result keeps its slot in the worker. If all slots are occupied by
    /// handlers that wait for tasks of the same worker, none of them makes progress; the worker
    /// logs a warning. Give tasks that others wait for a queue and worker of their own. When the
    /// worker drains, such a wait fails with [`Draining`](crate::ErrorKind::Draining); the handler
    /// returns that error, and its task runs again elsewhere without counting an attempt.
    #[must_use]
    pub fn ivy(&self) -> &Ivy<R> {
        &self.0.ivy
    }
}

impl<R: Runtime> Clone for Ctx<R> {
    fn clone(&self) -> Self {
        Ctx(Arc::clone(&self.0))
    }
}

impl<R: Runtime> fmt::Debug for Ctx<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx").field("run", &self.0.run).finish_non_exhaustive()
    }
}
