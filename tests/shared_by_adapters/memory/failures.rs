//! Tasks that fail, and calls that are refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{DOUBLE, FAIL, SOON, doubling, ivy, worker};
use crate::adapter::{Ctx, ErrorKind, Task, TaskError, handler, wait};

#[test]
fn a_final_failure_contains_its_attempts() {
    let ivy = ivy();
    let runs = Arc::new(AtomicU32::new(0));
    let fail = handler!([runs], |ctx: Ctx| {
        let run = runs.fetch_add(1, Ordering::SeqCst) + 1;
        assert_eq!((ctx.attempt(), ctx.max_attempts()), (run, 3));
        Err::<u64, _>("no luck")
    });
    let _worker = wait(worker(&ivy).register(&FAIL, fail).start()).unwrap();
    let handle = wait(ivy.call(&FAIL, ())).unwrap();
    let error = wait(handle.result(SOON)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed);
    assert_eq!(error.task_id(), Some(handle.id()));
    assert_eq!(error.queue().unwrap().as_str(), "test");
    let failure = error.failure().unwrap();
    assert_eq!((failure.attempts, failure.kind.as_str()), (3, "RetriesExhausted"));
    assert!(failure.message.contains("no luck"), "{failure}");
    assert_eq!(runs.load(Ordering::SeqCst), 3);
    assert_eq!(wait(ivy.admin().info("test.dead")).unwrap().size, Some(1));
}

#[test]
fn a_fatal_error_is_not_retried() {
    let ivy = ivy();
    let _worker = doubling(&ivy);
    let handle = wait(ivy.call(&DOUBLE, (u64::MAX,))).unwrap();
    let error = wait(handle.result(SOON)).unwrap_err();
    assert_eq!(error.failure().unwrap().attempts, 1);
}

#[test]
fn a_panic_is_a_failed_attempt_and_leaves_its_slot_free() {
    fn panics() -> Result<u64, TaskError> {
        panic!("out of cheese")
    }
    let ivy = ivy();
    let fail = handler!(|_ctx: Ctx| panics());
    let _worker = wait(worker(&ivy).concurrency(1).register(&FAIL, fail).start()).unwrap();
    let error = wait(wait(ivy.call(&FAIL, ())).unwrap().result(SOON)).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.attempts, 3);
    assert!(failure.message.contains("out of cheese"), "{failure}");
    assert_eq!(wait(wait(ivy.call(&DOUBLE, (1,))).unwrap().result(SOON)).unwrap(), 2);
}

#[test]
fn a_result_of_another_type_is_no_failure_of_the_task() {
    let ivy = ivy();
    let as_text = handler!(|n: u64| Ok::<_, TaskError>(format!("{n}")));
    let worker = ivy.worker().register("test.double", as_text).queue("test");
    let _worker = wait(worker.start()).unwrap();
    let error = wait(wait(ivy.call(&DOUBLE, (1,))).unwrap().result(SOON)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadResult);
}

#[test]
fn arguments_that_are_too_large_are_refused_before_they_are_sent() {
    const TEXT: Task<(String,), ()> = Task::new("test.text").queue("test");
    let error = wait(ivy().call(&TEXT, ("x".repeat(300_000),))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(!format!("{error} {error:?}").contains("xxx"));
}
