//! States that handlers take.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{DOUBLE, SOON, ivy, worker};
use crate::adapter::ivy_proto::task::RegisterError;
use crate::adapter::ivy_proto::worker::SetupError;
use crate::adapter::{Cause, Ctx, Error, ErrorKind, State, Task, TaskError, handler, wait};

const CONVERT: Task<(u64,), String> = Task::new("test.convert").queue("test");
const COUNT: Task<(), u64> = Task::new("test.count").queue("test");

/// Not `Clone`, as little as a database pool must be.
struct Rate {
    cents: u64,
}

struct Unit {
    name: &'static str,
}

/// The reason why a worker did not start.
fn setup_error<T>(result: Result<T, Error>) -> SetupError {
    let error = result.err().expect("the worker does not start");
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    match error.cause() {
        Cause::Config(cause) => cause.downcast_ref::<SetupError>().expect("a typed cause").clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_state_reaches_the_handler() {
    let ivy = ivy();
    let convert = handler!(|rate: State<Rate>, n: u64| Ok::<_, TaskError>(rate.cents * n));
    let worker = ivy.worker().register(&DOUBLE, convert).state(Rate { cents: 3 });
    let _worker = wait(worker.start()).unwrap();
    assert_eq!(wait(wait(ivy.call(&DOUBLE, (7,))).unwrap().result(SOON)).unwrap(), 21);
}

#[test]
fn a_handler_takes_two_states_and_its_context() {
    let ivy = ivy();
    let convert = handler!(|rate: State<Rate>, unit: State<Unit>, ctx: Ctx, n: u64| {
        let cents = rate.cents * n;
        Ok::<_, TaskError>(format!("{cents} {} for {}", unit.name, ctx.task_name()))
    });
    let builder = worker(&ivy).state(Unit { name: "cents" }).state(Rate { cents: 3 });
    let _worker = wait(builder.register(&CONVERT, convert).start()).unwrap();
    let handle = wait(ivy.call(&CONVERT, (7,))).unwrap();
    assert_eq!(wait(handle.result(SOON)).unwrap(), "21 cents for test.convert");
}

#[test]
fn all_runs_share_one_value() {
    let ivy = ivy();
    let count =
        handler!(|runs: State<AtomicU64>| Ok::<_, TaskError>(runs.fetch_add(1, Ordering::SeqCst)));
    let builder = worker(&ivy).state(AtomicU64::new(5)).register(&COUNT, count);
    let _worker = wait(builder.start()).unwrap();
    for runs in [5, 6] {
        assert_eq!(wait(wait(ivy.call(&COUNT, ())).unwrap().result(SOON)).unwrap(), runs);
    }
}

#[test]
fn a_worker_without_a_state_that_a_handler_takes_does_not_start() {
    let ivy = ivy();
    let convert = handler!(|_unit: State<Unit>, _rate: State<Rate>, _n: u64| {
        Ok::<_, TaskError>(String::new())
    });
    let builder = worker(&ivy).state(Unit { name: "cents" }).register(&CONVERT, convert);
    let error = setup_error(wait(builder.start()));
    let text = error.to_string();
    assert!(text.contains("test.convert") && text.contains("State<Rate>"), "{text}");
    assert!(text.contains(".state(..)"), "{text}");
    match error {
        SetupError::Register(RegisterError::NoState { task, .. }) => {
            assert_eq!(task.as_str(), "test.convert");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_worker_with_two_states_of_one_type_does_not_start() {
    let builder = worker(&ivy()).state(Rate { cents: 1 }).state(Rate { cents: 2 });
    let error = setup_error(wait(builder.start()));
    assert!(matches!(error, SetupError::Register(RegisterError::TwoStates(_))), "{error}");
}
