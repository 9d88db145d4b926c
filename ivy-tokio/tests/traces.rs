//! Traces in OpenTelemetry. Shared by all adapters.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod adapter;
#[path = "../../tests/shared_by_adapters/traces/mod.rs"]
mod traces;

use std::future::pending;
use std::time::Duration;

use ivy_tokio::{ErrorKind, Task, TaskError};

use adapter::wait;
use traces::{SOON, error_type, ivy, spans_of, start};

#[test]
fn a_handler_that_exceeds_its_time_limit_has_that_as_the_kind_of_its_error() {
    const LIMITED: Task<(), ()> =
        Task::new("errors.limit").queue("test").max_retries(0).time_limit(Duration::from_secs(1));
    let ivy = ivy();
    let worker = ivy.worker().register(&LIMITED, pending::<Result<(), TaskError>>);
    let worker = start(worker);
    let error = wait(wait(ivy.call(&LIMITED, ())).unwrap().result(SOON)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    wait(worker.drain(SOON));
    let [_, process] = &spans_of("errors.limit", 2)[..] else { panic!() };
    assert_eq!(error_type(process).as_deref(), Some("TimeLimit"));
}
