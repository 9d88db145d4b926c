//! What a handler learns about the task that it runs.

use std::time::Instant;

use ivy_proto::wire::TraceParent;
use ivy_proto::worker::Run;
use ivy_proto::{MessageId, QueueName, TaskId, TaskName};

use crate::cancel::CancellationToken;
use crate::ivy::Ivy;

/// What a handler learns about the task that it runs, if it asks for it as its first argument.
#[derive(Clone, Debug)]
pub struct Ctx {
    run: Run,
    deadline: Option<Instant>,
    cancelled: CancellationToken,
    span: tracing::Span,
    ivy: Ivy,
}

impl Ctx {
    pub(crate) fn new(run: Run, ivy: Ivy) -> Self {
        let deadline = run.deadline.and_then(|moment| ivy.clock().instant(moment));
        let span = tracing::info_span!(
            "ivy.run",
            task.id = %run.id,
            task.name = %run.task,
            queue = %run.queue,
            attempt = run.attempt,
        );
        Ctx { run, deadline, cancelled: CancellationToken::new(), span, ivy }
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

    /// When the handler will be stopped, if the task has a time limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Is cancelled when the handler is stopped: its lease was lost, its time is up, or the worker
    /// shuts down and does not wait any longer.
    ///
    /// The handler itself is dropped at its next `.await`; the token is for what it has started
    /// elsewhere, such as blocking work and other tasks.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// Whether the handler is to stop: see [`cancelled`](Ctx::cancelled).
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.is_cancelled()
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

    /// The worker's ivy, to schedule follow-up tasks with.
    #[must_use]
    pub fn ivy(&self) -> &Ivy {
        &self.ivy
    }
}
