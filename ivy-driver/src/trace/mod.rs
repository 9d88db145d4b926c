//! Traces: the spans of sending and processing, and how their context travels.

mod spans;

pub(crate) use spans::{BatchSpan, ProcessSpan, SendSpan};

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ivy_proto::producer::Call;
use ivy_proto::task::discard_panic;
use ivy_proto::wire::TraceContext;
use ivy_proto::worker::{Relation, Run, TraceRelation};
use tracing::Span;

/// Carries the trace of a caller to the handler of its task: with the `tracing` crate alone, spans of
/// different processes cannot be connected. The crate `ivy-otel` implements it for OpenTelemetry;
/// [`IvyBuilder::propagation`](crate::IvyBuilder::propagation) sets it.
///
/// Both methods are called for each task, so they must not block. If one panics, the spans are not
/// connected, and nothing else happens.
pub trait Propagation: Send + Sync + 'static {
    /// The context of a span that is about to send a task. If the span is disabled, or unknown to the
    /// tracing system, that of the code that calls this. `None`: nothing travels with the task.
    fn inject(&self, span: &Span) -> Option<TraceContext>;

    /// Connects the span of a handler, which was not entered yet, with the context that came with
    /// its task: as its parent, or by a link. Not called if the span is disabled.
    fn attach(&self, span: &Span, from: &TraceContext, relation: Relation);
}

/// Creates the spans of an [`Ivy`](crate::Ivy) and its workers, and connects them.
#[derive(Clone)]
pub(crate) struct Tracer {
    propagation: Option<Arc<dyn Propagation>>,
    relation: TraceRelation,
    backend: &'static str,
}

impl Tracer {
    /// `backend` is the name of the queue's backend.
    pub(crate) fn new(
        propagation: Option<Arc<dyn Propagation>>,
        relation: TraceRelation,
        backend: &'static str,
    ) -> Self {
        Tracer { propagation, relation, backend }
    }

    /// Whether handlers continue the traces of their callers.
    pub(crate) fn relation(&self) -> TraceRelation {
        self.relation
    }

    /// The span of a call that is about to be sent. Its context travels with the call, unless the
    /// caller has chosen another one.
    pub(crate) fn send(&self, call: &mut Call) -> SendSpan {
        let span = SendSpan::new(call, self.backend);
        if self.propagation.is_some()
            && !call.has_trace()
            && let Some(context) = self.inject(span.span())
        {
            call.add_trace(&context);
        }
        span
    }

    /// The span of many calls of one task that are sent together, and the context that travels with
    /// them: that of the caller, or of the span if the caller is not traced.
    pub(crate) fn send_many(&self, task: &str) -> (BatchSpan, Option<TraceContext>) {
        let caller = self.current();
        let span = BatchSpan::new(task, self.backend);
        let context = caller.or_else(|| self.inject(span.span()));
        (span, context)
    }

    /// The context of the code that calls this.
    pub(crate) fn current(&self) -> Option<TraceContext> {
        self.inject(&Span::none())
    }

    /// The span of a handler, connected with that of its caller.
    pub(crate) fn process(&self, run: &Run) -> ProcessSpan {
        let span = ProcessSpan::new(run, self.backend);
        if let Some(propagation) = &self.propagation
            && let Some(parent) = &run.trace
            && !span.span().is_disabled()
        {
            let context = TraceContext::new(parent.clone()).with_state(run.tracestate.clone());
            contained(|| propagation.attach(span.span(), &context, run.relation));
        }
        span
    }

    fn inject(&self, span: &Span) -> Option<TraceContext> {
        let propagation = self.propagation.as_ref()?;
        contained(|| propagation.inject(span)).flatten()
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tracer").field("propagates", &self.propagation.is_some()).finish()
    }
}

/// Runs code of a propagation. A panic costs its result only.
fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(discard_panic).ok()
}
