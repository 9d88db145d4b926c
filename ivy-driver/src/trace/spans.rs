//! The spans, and all names of their fields.
//!
//! The names are those of OpenTelemetry's semantic conventions for messaging, version 1.44.0, which
//! are in development and may change; `ivy.*` are ivy's own. `otel.*` are read by the crate
//! `tracing-opentelemetry`. `task.id` is on the lines of the log as well, and joins them. Integers
//! are signed, because `tracing-opentelemetry` makes texts of others.

use std::sync::{Arc, OnceLock};

use ivy_proto::producer::Call;
use ivy_proto::worker::{CancelReason, JobOutcome, Run};
use ivy_proto::{ErrorKind, MessageId, QueueName};
use tracing::field::{Empty, debug, display};
use tracing::{Span, info_span};

/// The span of one call until the queue has accepted it.
#[derive(Debug)]
pub(crate) struct SendSpan(Span);

impl SendSpan {
    pub(super) fn new(call: &Call, backend: &'static str) -> Self {
        SendSpan(info_span!(
            "send",
            otel.name = %format_args!("send {}", call.task),
            otel.kind = "PRODUCER",
            otel.status_code = Empty,
            error.type = Empty,
            messaging.system = "ivy",
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.destination.name = %call.queue,
            messaging.message.id = Empty,
            messaging.message.conversation_id = %call.task_id(),
            ivy.backend = backend,
            ivy.task = %call.task,
            task.id = %call.task_id(),
        ))
    }

    pub(super) fn span(&self) -> &Span {
        &self.0
    }

    /// The queue has accepted the call as this message.
    pub(crate) fn sent(&self, message: &MessageId) {
        self.0.record("messaging.message.id", display(message));
    }

    /// The call was not sent, or possibly not.
    pub(crate) fn failed(&self, kind: ErrorKind) {
        record_error(&self.0, debug(kind));
    }
}

/// The span of many calls that are sent together.
#[derive(Debug)]
pub(crate) struct BatchSpan {
    span: Span,
    /// How many calls were made.
    count: i64,
    /// The queue of all of them, or that there are several.
    destination: Destination,
    has_failed: bool,
}

#[derive(Debug)]
enum Destination {
    None,
    One(QueueName),
    Several,
}

impl BatchSpan {
    pub(super) fn new(task: &str, backend: &'static str) -> Self {
        let span = info_span!(
            "send",
            otel.name = %format_args!("send {task}"),
            otel.kind = "CLIENT",
            otel.status_code = Empty,
            error.type = Empty,
            messaging.system = "ivy",
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.destination.name = Empty,
            messaging.batch.message_count = Empty,
            ivy.backend = backend,
            ivy.task = task,
        );
        BatchSpan { span, count: 0, destination: Destination::None, has_failed: false }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Counts a call.
    pub(crate) fn add(&mut self, call: &Call) {
        if self.span.is_disabled() {
            return;
        }
        self.count = self.count.saturating_add(1);
        match &self.destination {
            Destination::None => self.destination = Destination::One(call.queue.clone()),
            Destination::One(queue) if *queue != call.queue => {
                self.destination = Destination::Several;
            }
            Destination::One(_) | Destination::Several => {}
        }
    }

    /// A call was not made, not sent, or possibly not sent. The kind of the first one is recorded.
    pub(crate) fn failed(&mut self, kind: ErrorKind) {
        if !self.has_failed {
            self.has_failed = true;
            record_error(&self.span, debug(kind));
        }
    }
}

impl Drop for BatchSpan {
    fn drop(&mut self) {
        self.span.record("messaging.batch.message_count", self.count);
        if let Destination::One(queue) = &self.destination {
            self.span.record("messaging.destination.name", display(queue));
        }
    }
}

/// The span of a handler.
#[derive(Clone, Debug)]
pub(crate) struct ProcessSpan {
    span: Span,
    /// Why the handler was cancelled, if it was and the span is enabled.
    stopped: Option<Arc<OnceLock<CancelReason>>>,
}

impl ProcessSpan {
    pub(super) fn new(run: &Run, backend: &'static str) -> Self {
        // The code that starts the handler may run in the span of something unrelated.
        let span = info_span!(
            parent: None,
            "process",
            otel.name = %format_args!("process {}", run.task),
            otel.kind = "CONSUMER",
            otel.status_code = Empty,
            error.type = Empty,
            messaging.system = "ivy",
            messaging.operation.name = "process",
            messaging.operation.type = "process",
            messaging.destination.name = %run.queue,
            messaging.message.id = %run.message,
            messaging.message.conversation_id = %run.id,
            ivy.backend = backend,
            ivy.task = %run.task,
            ivy.attempt = i64::from(run.attempt),
            ivy.max_attempts = i64::from(run.max_attempts),
            ivy.wait = run.waited.map(|waited| waited.as_secs_f64()),
            task.id = %run.id,
        );
        let stopped = (!span.is_disabled()).then(Arc::default);
        ProcessSpan { span, stopped }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The handler is cancelled. The first reason counts.
    pub(crate) fn stopped(&self, reason: CancelReason) {
        if let Some(stopped) = &self.stopped {
            let _ = stopped.set(reason);
        }
    }

    /// The handler has ended.
    pub(crate) fn ended(&self, outcome: &JobOutcome) {
        let Some(stopped) = &self.stopped else { return };
        if let Some(kind) = outcome.error_type(stopped.get().copied()) {
            record_error(&self.span, kind);
        }
    }
}

/// Records that what the span is of has failed, with the kind of its error: never a text.
fn record_error(span: &Span, kind: impl tracing::Value) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", kind);
}
