//! How the span of a handler is related to that of its caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use opentelemetry::trace::SpanKind;

use super::{
    SOON, assert_child, assert_linked, assert_root, builder, ivy, span_named, spans_of, start, text,
};
use crate::adapter::admin::{Requeue, SweepConfig};
use crate::adapter::{
    CallOptions, Ctx, Ivy, Propagation, QueueName, Relation, SweepStep, Task, TaskError,
    TraceContext, TraceParent, TraceRelation, TraceState, Worker, WorkerBuilder, handler, wait,
};

const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN_ID: &str = "00f067aa0ba902b7";

/// Runs after the messages that are in the queue.
const LAST: Task<(u64,), u64> = task("traces.last");

const fn task(name: &'static str) -> Task<(u64,), u64> {
    Task::new(name).queue("test").max_retries(1)
}

/// A worker that doubles.
fn doubling(ivy: &Ivy, task: &Task<(u64,), u64>) -> Worker {
    start(with_last(ivy).register(task, handler!(|n: u64| Ok::<_, TaskError>(2 * n))))
}

/// Runs what is in the queue, and drains the worker.
fn run_all(ivy: &Ivy, worker: &Worker) {
    wait(wait(ivy.call(&LAST, (0,))).unwrap().result(SOON)).unwrap();
    wait(worker.drain(SOON));
}

fn with_last(ivy: &Ivy) -> WorkerBuilder {
    ivy.worker().register(&LAST, handler!(|n: u64| Ok::<_, TaskError>(n)))
}

/// A worker whose handler fails the first time.
fn failing_once(ivy: &Ivy, task: &Task<(u64,), u64>, error: fn(&str) -> TaskError) -> Worker {
    let runs = Arc::new(AtomicU32::new(0));
    let handler = handler!([runs], |n: u64| match runs.fetch_add(1, Ordering::SeqCst) {
        0 => Err(error("secret")),
        _ => Ok(n),
    });
    start(with_last(ivy).register(task, handler))
}

fn hand_made() -> TraceParent {
    TraceParent::parse(&format!("00-{TRACE_ID}-{SPAN_ID}-01")).unwrap()
}

#[test]
fn the_handler_of_a_call_continues_the_trace_of_its_caller() {
    const CALL: Task<(u64,), u64> = task("traces.call");
    let ivy = ivy();
    let worker = doubling(&ivy, &CALL);
    let caller = tracing::info_span!("a caller");
    let result = caller.in_scope(|| wait(wait(ivy.call(&CALL, (1,))).unwrap().result(SOON)));
    drop(caller);
    assert_eq!(result.unwrap(), 2);
    wait(worker.drain(SOON));
    let [send, process] = &spans_of("traces.call", 2)[..] else { panic!() };
    assert_eq!((&*send.name, &*process.name), ("send traces.call", "process traces.call"));
    assert_eq!(send.parent_span_id, span_named("a caller").span_context.span_id());
    assert_child(process, send);
}

#[test]
fn the_handler_of_a_send_begins_a_trace_with_a_link_to_its_sender() {
    const SEND: Task<(u64,), u64> = task("traces.send");
    let ivy = ivy();
    let worker = doubling(&ivy, &SEND);
    wait(ivy.send(&SEND, (1,))).unwrap();
    run_all(&ivy, &worker);
    let [send, process] = &spans_of("traces.send", 2)[..] else { panic!() };
    assert_linked(process, send);
}

#[test]
fn a_retry_begins_a_trace_with_a_link_to_the_caller() {
    const RETRY: Task<(u64,), u64> = task("traces.retry");
    let ivy = ivy();
    let worker = failing_once(&ivy, &RETRY, |text| TaskError::new(text));
    wait(wait(ivy.call(&RETRY, (1,))).unwrap().result(SOON)).unwrap();
    wait(worker.drain(SOON));
    let [send, first, second] = &spans_of("traces.retry", 3)[..] else { panic!() };
    assert_child(first, send);
    assert_linked(second, send);
    assert_ne!(first.span_context.trace_id(), second.span_context.trace_id());
}

#[test]
fn a_delayed_call_begins_a_trace_with_a_link_to_the_caller() {
    const DELAYED: Task<(u64,), u64> = task("traces.delayed");
    let ivy = ivy();
    let worker = doubling(&ivy, &DELAYED);
    let options = CallOptions::new().delay(Duration::from_millis(20));
    wait(wait(ivy.call_with(&DELAYED, (1,), options)).unwrap().result(SOON)).unwrap();
    wait(worker.drain(SOON));
    let [send, process] = &spans_of("traces.delayed", 2)[..] else { panic!() };
    assert_linked(process, send);
}

#[test]
fn many_calls_have_one_span_and_the_context_of_their_caller_travels() {
    const BATCH: Task<(u64,), u64> = task("traces.batch");
    let ivy = ivy();
    let worker = doubling(&ivy, &BATCH);
    let caller = tracing::info_span!("a caller of many");
    let calls = caller.in_scope(|| wait(ivy.call_many(&BATCH, (0..3).map(|n| (n,)))));
    drop(caller);
    for call in calls {
        wait(call.unwrap().result(SOON)).unwrap();
    }
    wait(worker.drain(SOON));
    let spans = spans_of("traces.batch", 4);
    let caller = span_named("a caller of many");
    assert_eq!((&*spans[0].name, &spans[0].span_kind), ("send traces.batch", &SpanKind::Client));
    assert_eq!(text(&spans[0], "messaging.batch.message_count").unwrap(), "3");
    assert_eq!(spans[0].parent_span_id, caller.span_context.span_id());
    spans[1..].iter().for_each(|process| assert_child(process, &caller));
}

#[test]
fn without_a_traced_caller_the_context_of_the_span_of_many_calls_travels() {
    const ALONE: Task<(u64,), u64> = task("traces.batch_alone");
    let ivy = ivy();
    let worker = doubling(&ivy, &ALONE);
    for call in wait(ivy.call_many(&ALONE, [(1,), (2,)])) {
        wait(call.unwrap().result(SOON)).unwrap();
    }
    wait(worker.drain(SOON));
    let spans = spans_of("traces.batch_alone", 3);
    spans[1..].iter().for_each(|process| assert_child(process, &spans[0]));
}

#[test]
fn a_requeued_task_begins_a_trace_with_a_link_to_its_caller() {
    const REQUEUED: Task<(u64,), u64> = task("traces.requeued");
    let ivy = ivy();
    let worker = failing_once(&ivy, &REQUEUED, |text| TaskError::fatal(text));
    let handle = wait(ivy.call(&REQUEUED, (1,))).unwrap();
    wait(handle.result(SOON)).unwrap_err();
    let dead = QueueName::new("test.dead").unwrap();
    let mut sweep = ivy.admin().sweep(SweepConfig::requeue(dead, Requeue::new())).unwrap();
    loop {
        match wait(sweep.next()).unwrap() {
            SweepStep::Plan(_) => sweep.confirm(),
            SweepStep::Finished(report) => break assert_eq!(report.posted, 1),
            _ => {}
        }
    }
    // The handle has its result, so nothing tells of the second run.
    run_all(&ivy, &worker);
    let [send, first, second] = &spans_of("traces.requeued", 3)[..] else { panic!() };
    assert_child(first, send);
    assert_linked(second, send);
}

#[test]
fn a_context_given_by_hand_takes_precedence() {
    const HAND: Task<(u64,), String> = Task::new("traces.hand").queue("test");
    let ivy = ivy();
    let handler = handler!(|ctx: Ctx, _n: u64| {
        let state = ctx.tracestate().map(|state| state.as_str().to_owned());
        Ok::<_, TaskError>(format!("{:?} {state:?}", ctx.trace()))
    });
    let worker = start(ivy.worker().register(&HAND, handler));
    let state = TraceState::parse("a=1").unwrap();
    let options = CallOptions::new().trace(hand_made()).tracestate(state);
    let seen = wait(wait(ivy.call_with(&HAND, (1,), options)).unwrap().result(SOON)).unwrap();
    assert_eq!(seen, format!("Some(00-{TRACE_ID}-{SPAN_ID}-01) Some(\"a=1\")"));
    wait(worker.drain(SOON));
    let [_, process] = &spans_of("traces.hand", 2)[..] else { panic!() };
    assert_eq!(process.span_context.trace_id().to_string(), TRACE_ID);
    assert_eq!(process.parent_span_id.to_string(), SPAN_ID);
    assert!(process.parent_span_is_remote);
    assert_eq!(process.span_context.trace_state().header(), "a=1");
}

#[test]
fn the_relation_can_be_fixed() {
    const LINK: Task<(u64,), u64> = task("traces.link");
    const PARENT: Task<(u64,), u64> = task("traces.parent");
    let linked = builder().trace_relation(TraceRelation::Link).build().unwrap();
    let worker = doubling(&linked, &LINK);
    wait(wait(linked.call(&LINK, (1,))).unwrap().result(SOON)).unwrap();
    wait(worker.drain(SOON));
    let [send, process] = &spans_of("traces.link", 2)[..] else { panic!() };
    assert_linked(process, send);

    let always = builder().trace_relation(TraceRelation::Parent).build().unwrap();
    let worker = failing_once(&always, &PARENT, |text| TaskError::new(text));
    wait(wait(always.call(&PARENT, (1,))).unwrap().result(SOON)).unwrap();
    wait(worker.drain(SOON));
    let [send, first, second] = &spans_of("traces.parent", 3)[..] else { panic!() };
    assert_child(first, send);
    assert_child(second, send);
}

struct Panics;

impl Propagation for Panics {
    fn inject(&self, _: &tracing::Span) -> Option<TraceContext> {
        panic!("out of cheese");
    }

    fn attach(&self, _: &tracing::Span, _: &TraceContext, _: Relation) {
        panic!("out of cheese");
    }
}

#[test]
fn a_propagation_that_panics_costs_the_link_only() {
    const PANICS: Task<(u64,), u64> = task("traces.panics");
    let ivy = builder().propagation(Panics).build().unwrap();
    let worker = doubling(&ivy, &PANICS);
    assert_eq!(wait(wait(ivy.call(&PANICS, (1,))).unwrap().result(SOON)).unwrap(), 2);
    let options = CallOptions::new().trace(hand_made());
    let handle = wait(ivy.call_with(&PANICS, (2,), options)).unwrap();
    assert_eq!(wait(handle.result(SOON)).unwrap(), 4);
    wait(worker.drain(SOON));
    spans_of("traces.panics", 4).iter().for_each(assert_root);
}

#[test]
fn without_a_propagation_nothing_travels() {
    const NONE: Task<(u64,), u64> = task("traces.none");
    let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap();
    super::exporter();
    let worker = doubling(&ivy, &NONE);
    wait(wait(ivy.call(&NONE, (1,))).unwrap().result(SOON)).unwrap();
    wait(worker.drain(SOON));
    spans_of("traces.none", 2).iter().for_each(assert_root);
}

#[test]
fn the_results_of_a_stream_are_those_of_calls_in_the_trace_of_its_reader() {
    const STREAM: Task<(u64,), u64> = task("traces.stream");
    let ivy = ivy();
    let worker = doubling(&ivy, &STREAM);
    let caller = tracing::info_span!("a reader");
    caller.in_scope(|| {
        let mut results = ivy.call_stream(&STREAM, [(1,), (2,)], SOON);
        while let Some(one) = wait(results.next()) {
            one.result.unwrap();
        }
    });
    drop(caller);
    wait(worker.drain(SOON));
    let caller = span_named("a reader");
    spans_of("traces.stream", 2).iter().for_each(|process| assert_child(process, &caller));
}
