//! Traces that reach, cross or come from the Node package.

use std::sync::OnceLock;
use std::time::Duration;

use ivy_otel::OpenTelemetry;
use ivy_test_kit::{Notices, PATIENCE};
use ivy_tokio::{Task, TaskError};
use opentelemetry::trace::{SpanId, TracerProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::fixture::{Fixture, assert_alive, node_call};

const CALLED: Task<(u64,), u64> = Task::new("trace.called").queue("traces");
const PLAIN: Task<(u64,), u64> = Task::new("trace.plain").queue("traces");
const TRACED: Task<(u64,), u64> = Task::new("trace.traced").queue("traces");
const INVALID: Task<(u64,), u64> = Task::new("trace.invalid").queue("traces");

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";

async fn double(n: u64) -> Result<u64, TaskError> {
    Ok(2 * n)
}

/// The exporter of all spans of this process.
fn exporter() -> &'static InMemorySpanExporter {
    static EXPORTER: OnceLock<(InMemorySpanExporter, SdkTracerProvider)> = OnceLock::new();
    let (exporter, _) = EXPORTER.get_or_init(|| {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing_subscriber::registry().with(layer).init();
        (exporter, provider)
    });
    exporter
}

/// The only span of this name, which ends soon.
async fn span(name: &str) -> SpanData {
    let waited = async {
        loop {
            let spans = exporter().get_finished_spans().expect("the exporter is in memory");
            if let Some(span) = spans.into_iter().find(|span| span.name == name) {
                return span;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.expect("the span ends")
}

#[tokio::test]
async fn the_trace_of_our_caller_passes_through_a_node_worker_and_comes_back() {
    exporter();
    let fixture = Fixture::plain().await;
    let mut notices = Notices::listen(&fixture.redis, "*").await;
    let mut worker = fixture.node_worker("traces", json!({ "trace.called": "factorial" })).await;
    let ivy = fixture.builder().propagation(OpenTelemetry::new()).build().unwrap();
    let handle = ivy.call(&CALLED, (5,)).await.unwrap();
    assert_eq!(handle.result(PATIENCE).await.unwrap(), 120);
    let send = span("send trace.called").await.span_context;
    let trace = format!("00-{}-{}-01", send.trace_id(), send.span_id());
    let notice = notices.next().await;
    assert_eq!(notice.content["options"]["ivy"]["trace"], json!(trace));
    assert_alive(&mut worker).await;
}

#[tokio::test]
async fn what_a_node_producer_sends_begins_a_trace_and_a_context_in_it_is_followed() {
    exporter();
    let fixture = Fixture::plain().await;
    let ivy = fixture.builder().propagation(OpenTelemetry::new()).build().unwrap();
    let worker = ivy.worker().register(&PLAIN, double).register(&TRACED, double);
    let worker = worker.register(&INVALID, double).start().await.unwrap();
    // The Node package sends what it does not know of a task's options.
    let ivy_options = |trace: String| json!({ "ivy": { "v": 1, "id": "BwcHBwcHBwcHBwcHBwcHBw", "trace": trace } });
    let tasks = json!({
        "trace.plain": {},
        "trace.traced": ivy_options(format!("00-{TRACE_ID}-{SPAN_ID}-01")),
        "trace.invalid": ivy_options(format!("00-{TRACE_ID}-{}-01", "0".repeat(16))),
    });
    let mut producer = fixture.node_producer("traces", tasks).await;
    for name in ["trace.plain", "trace.traced", "trace.invalid"] {
        node_call(&mut producer, name, json!([5])).await;
    }
    for name in ["process trace.plain", "process trace.invalid"] {
        let root = span(name).await;
        assert_eq!((root.parent_span_id, root.links.len()), (SpanId::INVALID, 0), "{name}");
    }
    let linked = span("process trace.traced").await;
    assert_eq!(linked.parent_span_id, SpanId::INVALID, "nobody waits for it");
    let [link] = &linked.links[..] else { panic!("{linked:#?}") };
    assert_eq!(link.span_context.trace_id().to_string(), TRACE_ID);
    assert_eq!(link.span_context.span_id().to_string(), SPAN_ID);
    worker.drain(PATIENCE).await;
}
