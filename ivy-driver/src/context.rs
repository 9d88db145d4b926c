//! What a handler learns about the task that it runs.

use std::fmt;
use std::time::Instant;

use ivy_proto::wire::crypto::MessageKey;
use ivy_proto::wire::{TraceParent, TraceState};
use ivy_proto::worker::Run;
use ivy_proto::{MessageId, QueueName, TaskId, TaskName};

use crate::handler_waits::HandlerWaits;
use crate::ivy::Ivy;
use crate::runtime::Runtime;

/// What a handler learns about the task that it runs, if it asks for it as its first argument.
pub struct Ctx<R: Runtime> {
    run: Run,
    deadline: Option<Instant>,
    cancelled: R::CancellationToken,
    span: tracing::Span,
    waits: HandlerWaits,
    ivy: Ivy<R>,
}

impl<R: Runtime> Ctx<R> {
    pub(crate) fn new(run: Run, ivy: Ivy<R>, waits: HandlerWaits) -> Self {
        let ivy = ivy.of_handler(waits.clone());
        let deadline = run.deadline.and_then(|moment| ivy.clock().instant(moment));
        // Whoever is at work here has nothing to do with the task.
        let span = tracing::info_span!(
            parent: None,
            "ivy.run",
            task.id = %run.id,
            task.name = %run.task,
            queue = %run.queue,
            attempt = run.attempt,
        );
        Ctx { run, deadline, cancelled: R::CancellationToken::default(), span, waits, ivy }
    }

    /// The scheduled task's id, the same for all its attempts.
    #[must_use]
    pub fn task_id(&self) -> TaskId {
        self.run.id
    }

    /// The task's name.
    #[must_use]
    pub fn task_name(&self) -> &TaskName {
        &self.run.task
    }

    /// The physical queue that the task came from.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.run.queue
    }

    /// The message that carried the task.
    #[must_use]
    pub fn message_id(&self) -> &MessageId {
        &self.run.message
    }

    /// Tells the message that carried the task from all others, where messages are authenticated
    /// (bridge and v2 frames): the same whenever it is delivered again, also as a copy that somebody
    /// else has posted. A handler that keeps it with what it has done can tell that it is asked twice.
    #[must_use]
    pub fn message_key(&self) -> Option<MessageKey> {
        self.run.message_key
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.run.attempt
    }

    /// How many attempts there may be.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.run.max_attempts
    }

    /// When the handler will be stopped, or in a thread told to stop, if the task has a time limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Is cancelled when the handler is to stop: its lease was lost, its time is up, or the worker
    /// shuts down and does not wait any longer.
    ///
    /// A handler that is a future is dropped at its next `.await`; the token is for what it has
    /// started elsewhere, such as blocking work and other tasks.
    ///
    /// A thread cannot be stopped from outside. A handler in one that may take long asks now and
    /// then, and waits for the token instead of sleeping. Until it returns it keeps its thread, which
    /// is one of the worker's [`concurrency`](crate::WorkerBuilder::concurrency).
    #[must_use]
    pub fn cancelled(&self) -> &R::CancellationToken {
        &self.cancelled
    }

    /// Whether the handler is to stop: see [`cancelled`](Ctx::cancelled).
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        R::is_cancelled(&self.cancelled)
    }

    /// The tracing span that the handler runs in, for work that it starts elsewhere.
    #[must_use]
    pub fn span(&self) -> &tracing::Span {
        &self.span
    }

    /// The caller's trace context, if it gave one.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceParent> {
        self.run.trace.as_ref()
    }

    /// What tracing systems have added to the caller's trace context, if there is any.
    #[must_use]
    pub fn tracestate(&self) -> Option<&TraceState> {
        self.run.tracestate.as_ref()
    }

    /// What the handler waits for.
    pub(crate) fn waits(&self) -> &HandlerWaits {
        &self.waits
    }

    /// The worker's ivy, to schedule follow-up tasks with.
    ///
    /// A handler that waits for a result keeps its place in the worker meanwhile. Where all places are
    /// taken so, and by tasks that the same worker would run, nothing moves: the worker warns of that.
    /// Give tasks that others wait for a queue and worker of their own. When the worker drains, such a
    /// wait fails as [`Draining`](crate::ErrorKind::Draining); the handler returns that error, and its
    /// task runs again elsewhere, without an attempt less.
    #[must_use]
    pub fn ivy(&self) -> &Ivy<R> {
        &self.ivy
    }
}

impl<R: Runtime> Clone for Ctx<R> {
    fn clone(&self) -> Self {
        let Ctx { run, deadline, cancelled, span, waits, ivy } = self;
        Ctx {
            run: run.clone(),
            deadline: *deadline,
            cancelled: cancelled.clone(),
            span: span.clone(),
            waits: waits.clone(),
            ivy: ivy.clone(),
        }
    }
}

impl<R: Runtime> fmt::Debug for Ctx<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx").field("run", &self.run).finish_non_exhaustive()
    }
}
