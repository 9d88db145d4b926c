//! Traces: the spans of callers and handlers in OpenTelemetry, and how they are connected.

mod attributes;
mod relations;

use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ivy_otel::OpenTelemetry;
use opentelemetry::Value;
use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::adapter::{Backoff, Ivy, IvyBuilder, Worker, WorkerBuilder, wait};

/// Longer than anything takes that must happen, even on a busy host.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// An ivy in memory whose traces cross its messages.
pub(crate) fn builder() -> IvyBuilder {
    exporter();
    let builder = Ivy::builder().queue_url("memory://").notifier_url("memory://");
    builder.propagation(OpenTelemetry::new())
}

pub(crate) fn ivy() -> Ivy {
    builder().build().unwrap()
}

/// Starts a worker whose retries come soon.
pub(crate) fn start(worker: WorkerBuilder) -> Worker {
    let backoff = Backoff::new(Duration::from_millis(1), 2, Duration::from_millis(1));
    wait(worker.backoff(backoff).start()).unwrap()
}

/// The exporter of all spans of the process: an adapter may run in threads of its own.
fn exporter() -> &'static InMemorySpanExporter {
    static EXPORTER: OnceLock<(InMemorySpanExporter, SdkTracerProvider)> = OnceLock::new();
    let (exporter, _) = EXPORTER.get_or_init(|| {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("test"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        tracing_subscriber::registry().with(layer).init();
        (exporter, provider)
    });
    exporter
}

/// The spans that are this many of a task, in the order in which they began. Each test has tasks of
/// its own. A span ends a little after what it is of.
pub(crate) fn spans_of(task: &str, count: usize) -> Vec<SpanData> {
    let begun = Instant::now();
    loop {
        let mut spans = exporter().get_finished_spans().unwrap();
        spans.retain(|span| text(span, "ivy.task").is_some_and(|name| name == task));
        if spans.len() >= count {
            assert_eq!(spans.len(), count, "{spans:#?}");
            spans.sort_by_key(|span| span.start_time);
            return spans;
        }
        assert!(begun.elapsed() < SOON, "{count} spans of {task} do not come: {spans:#?}");
        sleep(Duration::from_millis(5));
    }
}

/// The span of this name that is not one of a task.
fn span_named(name: &str) -> SpanData {
    let spans = exporter().get_finished_spans().unwrap();
    spans.into_iter().find(|span| span.name == name).unwrap()
}

/// The value of an attribute, which is there at most once.
fn value(span: &SpanData, name: &str) -> Option<Value> {
    let mut values = span.attributes.iter().filter(|one| one.key.as_str() == name);
    let value = values.next().map(|one| one.value.clone());
    assert!(values.next().is_none(), "{name} twice: {span:#?}");
    value
}

pub(crate) fn text(span: &SpanData, name: &str) -> Option<String> {
    value(span, name).map(|value| value.as_str().into_owned())
}

pub(crate) fn error_type(span: &SpanData) -> Option<String> {
    let is_error = matches!(span.status, opentelemetry::trace::Status::Error { .. });
    let error = text(span, "error.type");
    assert_eq!(error.is_some(), is_error, "{span:#?}");
    error
}

/// Asserts that a span is the child of another one, and linked with it.
#[track_caller]
fn assert_child(child: &SpanData, parent: &SpanData) {
    assert_eq!(child.parent_span_id, parent.span_context.span_id(), "{child:#?}");
    assert_eq!(child.span_context.trace_id(), parent.span_context.trace_id());
    assert_link(child, parent);
}

/// Asserts that a span begins a trace, and is linked with another one.
#[track_caller]
fn assert_linked(span: &SpanData, to: &SpanData) {
    assert_eq!(span.parent_span_id, SpanId::INVALID, "{span:#?}");
    assert_ne!(span.span_context.trace_id(), to.span_context.trace_id());
    assert_link(span, to);
}

#[track_caller]
fn assert_link(span: &SpanData, to: &SpanData) {
    let links: Vec<_> = span.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(links, [to.span_context.span_id()]);
    assert_eq!(span.links[0].span_context.trace_id(), to.span_context.trace_id());
}

/// Asserts that a span begins a trace, and is linked with none.
#[track_caller]
fn assert_root(span: &SpanData) {
    assert_eq!(span.parent_span_id, SpanId::INVALID, "{span:#?}");
    assert!(span.links.is_empty(), "{span:#?}");
}
