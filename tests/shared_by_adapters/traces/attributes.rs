//! The attributes of spans: their names, and the kinds of errors.

use std::time::{Duration, Instant};

use opentelemetry::Value;
use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;

use super::{SOON, error_type, ivy, spans_of, start, text, value};
use crate::adapter::{ErrorKind, Task, TaskError, handler, wait};

/// The attributes of the conventions, as a table.
const CONVENTIONS: &str = include_str!("conventions.txt");

const fn task(name: &'static str) -> Task<(u64,), u64> {
    Task::new(name).queue("test").max_retries(0)
}

/// Asserts that an attribute is one of the conventions, with a value that it may have, or one of
/// ivy's own.
fn assert_conventional(name: &str, value: &Value) {
    if name.starts_with("ivy.") || name == "task.id" {
        return;
    }
    let row = CONVENTIONS.lines().find(|row| row.split_whitespace().next() == Some(name));
    let mut row = row.unwrap_or_else(|| panic!("{name} is not conventional")).split_whitespace();
    let (_, of_type, values) = (row.next(), row.next().unwrap(), row.next().unwrap());
    let is_of_type = match value {
        Value::String(_) => of_type == "string",
        Value::I64(_) => of_type == "int",
        _ => false,
    };
    assert!(is_of_type, "{name} is {value:?}");
    let is_allowed = values == "*" || values.split(',').any(|one| one == value.as_str());
    assert!(is_allowed, "{name} is {value:?}");
}

#[track_caller]
fn assert_attributes(span: &SpanData, expected: &[(&str, &str)]) {
    for one in &span.attributes {
        assert_conventional(one.key.as_str(), &one.value);
    }
    for (name, value) in expected {
        assert_eq!(text(span, name).as_deref(), Some(*value), "{name}: {span:#?}");
    }
    let secrets = span.attributes.iter().any(|one| one.value.as_str().contains("4321"));
    assert!(!secrets, "arguments are no attributes: {span:#?}");
}

#[test]
fn spans_have_conventional_attributes() {
    const CALL: Task<(u64,), u64> = task("attributes.call");
    let ivy = ivy();
    let worker = start(ivy.worker().register(&CALL, handler!(|n: u64| Ok::<_, TaskError>(n))));
    let handle = wait(ivy.call(&CALL, (4321,))).unwrap();
    let id = handle.id().to_string();
    wait(handle.result(SOON)).unwrap();
    wait(worker.drain(SOON));
    let [send, process] = &spans_of("attributes.call", 2)[..] else { panic!() };
    let both = [
        ("messaging.system", "ivy"),
        ("messaging.destination.name", "test"),
        ("messaging.message.conversation_id", id.as_str()),
        ("ivy.backend", "memory"),
        ("task.id", &id),
    ];
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_attributes(send, &both);
    assert_attributes(
        send,
        &[("messaging.operation.name", "send"), ("messaging.operation.type", "send")],
    );
    assert_eq!(process.span_kind, SpanKind::Consumer);
    assert_attributes(process, &both);
    assert_attributes(
        process,
        &[
            ("messaging.operation.name", "process"),
            ("messaging.operation.type", "process"),
            ("ivy.attempt", "1"),
            ("ivy.max_attempts", "1"),
        ],
    );
    assert_eq!(value(process, "ivy.attempt"), Some(Value::I64(1)), "it is a number");
    assert!(matches!(value(process, "ivy.wait"), Some(Value::F64(wait)) if wait >= 0.0));
    let message = text(send, "messaging.message.id");
    assert!(message.is_some() && message == text(process, "messaging.message.id"));
    assert_eq!((error_type(send), error_type(process)), (None, None));
}

#[test]
fn the_span_of_many_calls_names_their_number_and_their_queue() {
    const MANY: Task<(u64,), u64> = task("attributes.many");
    let ivy = ivy();
    for sent in wait(ivy.send_many(&MANY, [(1,), (4321,)])) {
        sent.unwrap();
    }
    let [send] = &spans_of("attributes.many", 1)[..] else { panic!() };
    assert_eq!(send.span_kind, SpanKind::Client);
    assert_attributes(
        send,
        &[
            ("messaging.operation.name", "send"),
            ("messaging.operation.type", "send"),
            ("messaging.destination.name", "test"),
        ],
    );
    assert_eq!(value(send, "messaging.batch.message_count"), Some(Value::I64(2)));
}

#[test]
fn a_failed_handler_has_the_kind_of_its_error_and_no_text() {
    const FATAL: Task<(u64,), u64> = task("errors.fatal");
    const ERROR: Task<(u64,), u64> = task("errors.error");
    const PANIC: Task<(u64,), u64> = task("errors.panic");
    let ivy = ivy();
    let fatal = handler!(|n: u64| Err::<u64, _>(TaskError::fatal(n.to_string())));
    let error = handler!(|n: u64| Err::<u64, _>(TaskError::new(n.to_string())));
    let panics = handler!(|n: u64| match n {
        4321 => panic!("{n}"),
        n => Ok::<u64, TaskError>(n),
    });
    let worker = ivy.worker().register(&FATAL, fatal).register(&ERROR, error);
    let worker = start(worker.register(&PANIC, panics));
    let tasks = [(FATAL, "Fatal"), (ERROR, "_OTHER"), (PANIC, "Panicked")];
    for (task, _) in tasks {
        let error = wait(wait(ivy.call(&task, (4321,))).unwrap().result(SOON)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
    }
    wait(worker.drain(SOON));
    for (task, kind) in tasks {
        let [send, process] = &spans_of(task.name(), 2)[..] else { panic!() };
        assert_eq!(error_type(send), None, "it was sent");
        assert_eq!(error_type(process).as_deref(), Some(kind));
        assert_attributes(process, &[("messaging.operation.name", "process")]);
    }
}

#[test]
fn arguments_that_do_not_fit_are_an_error_of_the_handlers_span() {
    const SENT: Task<(u64,), u64> = task("errors.bad_args");
    const TAKEN: Task<(String,), u64> = Task::new("errors.bad_args").queue("test");
    let ivy = ivy();
    let worker =
        start(ivy.worker().register(&TAKEN, handler!(|_t: String| Ok::<u64, TaskError>(1))));
    let handle = wait(ivy.call(&SENT, (4321,))).unwrap();
    // The worker reports that it has released the message.
    let begun = Instant::now();
    while handle.released().is_none() {
        assert!(begun.elapsed() < SOON, "nothing is reported");
        wait(handle.result(Duration::from_millis(10))).unwrap_err();
    }
    wait(worker.drain(SOON));
    let [_, process] = &spans_of("errors.bad_args", 2)[..] else { panic!() };
    assert_eq!(error_type(process).as_deref(), Some("BadArgs"));
    assert_attributes(process, &[]);
}

#[test]
fn a_call_that_is_not_sent_has_the_kind_of_its_error() {
    const LARGE: Task<(String,), u64> = Task::new("errors.large").queue("test");
    let ivy = ivy();
    let large = || ("x".repeat(300_000),);
    assert_eq!(wait(ivy.call(&LARGE, large())).unwrap_err().kind(), ErrorKind::TooLarge);
    wait(ivy.send_many(&LARGE, [large(), large()]));
    let spans = spans_of("errors.large", 2);
    for span in &spans {
        assert_eq!(error_type(span).as_deref(), Some("TooLarge"));
        assert_attributes(span, &[("messaging.operation.name", "send")]);
    }
}
