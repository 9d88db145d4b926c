#![doc = include_str!("../README.md")]

use ivy_driver::Propagation;
use ivy_proto::wire::{TraceContext, TraceParent};
use ivy_proto::worker::Relation;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, trace};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Carries OpenTelemetry's trace context with the tasks of an ivy, as W3C `traceparent` and
/// `tracestate`. Baggage is not carried.
///
/// Set it with `Ivy::builder().propagation(OpenTelemetry::new())`. The spans reach OpenTelemetry
/// through the layer of the crate `tracing-opentelemetry`, which the program installs. Without the
/// layer, the context of the code that calls a task travels with it nevertheless.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenTelemetry;

impl OpenTelemetry {
    /// Creates it.
    #[must_use]
    pub fn new() -> Self {
        OpenTelemetry
    }
}

impl Propagation for OpenTelemetry {
    fn inject(&self, span: &Span) -> Option<TraceContext> {
        to_travel(span.context().span().span_context())
            .or_else(|| to_travel(Context::current().span().span_context()))
            .or_else(|| to_travel(Span::current().context().span().span_context()))
    }

    fn attach(&self, span: &Span, from: &TraceContext, relation: Relation) {
        let Some(remote) = from_travel(from) else { return };
        if relation == Relation::Parent {
            let parent = Context::new().with_remote_span_context(remote.clone());
            // It fails if the layer does not know the span.
            let _ = span.set_parent(parent);
        }
        // The conventions ask for a link to a parent as well.
        span.add_link(remote);
    }
}

/// The context as it travels with a task.
fn to_travel(context: &SpanContext) -> Option<TraceContext> {
    if !context.is_valid() {
        return None;
    }
    let (trace, span) = (context.trace_id(), context.span_id());
    let flags = context.trace_flags().to_u8();
    let parent = TraceParent::parse(&format!("00-{trace}-{span}-{flags:02x}"))?;
    let state = context.trace_state().header();
    let state = ivy_proto::wire::TraceState::parse(&state);
    Some(TraceContext::new(parent).with_state(state))
}

/// The context of the sender's span.
fn from_travel(context: &TraceContext) -> Option<SpanContext> {
    let TraceContext { parent, state, .. } = context;
    let trace = TraceId::from_hex(parent.trace_id()).ok()?;
    let span = SpanId::from_hex(parent.span_id()).ok()?;
    // A state that OpenTelemetry does not accept is left out, as the W3C recommendation requires.
    let state: TraceState =
        state.as_ref().and_then(|state| state.as_str().parse().ok()).unwrap_or_default();
    Some(trace::SpanContext::new(trace, span, TraceFlags::new(parent.flags()), true, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn context(state: &str) -> TraceContext {
        let state = ivy_proto::wire::TraceState::parse(state);
        TraceContext::new(TraceParent::parse(TRACE).unwrap()).with_state(state)
    }

    #[test]
    fn a_context_travels_unchanged() {
        for state in ["", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"] {
            let context = context(state);
            let received = from_travel(&context).unwrap();
            assert!(received.is_remote() && received.is_sampled());
            assert_eq!(to_travel(&received), Some(context));
        }
    }

    #[test]
    fn an_invalid_context_does_not_travel() {
        assert_eq!(to_travel(&SpanContext::empty_context()), None);
    }

    #[test]
    fn without_a_layer_nothing_travels_and_nothing_is_attached() {
        let span = tracing::info_span!("send");
        assert_eq!(OpenTelemetry::new().inject(&span), None);
        OpenTelemetry::new().attach(&span, &context(""), Relation::Parent);
    }

    #[test]
    fn the_context_of_the_caller_travels_if_the_span_is_disabled() {
        let remote = from_travel(&context("a=1")).unwrap();
        let _caller = Context::new().with_remote_span_context(remote).attach();
        let travels = OpenTelemetry::new().inject(&Span::none());
        assert_eq!(travels, Some(context("a=1")));
    }
}
