//! Handlers that postpone their tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::{FAIL, SOON, ivy, worker};
use crate::adapter::{CallOptions, Ctx, TaskError, handler, wait};

const DELAY: Duration = Duration::from_millis(20);

/// A handler that postpones its task twice, and the number of its runs.
macro_rules! twice_later {
    ($runs:ident) => {
        handler!([$runs], |ctx: Ctx| {
            assert_eq!(ctx.attempt(), 1);
            match $runs.fetch_add(1, Ordering::SeqCst) {
                2 => Ok::<u64, TaskError>(7),
                _ => Err(TaskError::later(DELAY).with_message("the tenant is over its limit")),
            }
        })
    };
}

#[test]
fn a_postponed_task_comes_again_without_losing_an_attempt() {
    let (ivy, runs) = (ivy(), Arc::new(AtomicU32::new(0)));
    let _worker = wait(worker(&ivy).register(&FAIL, twice_later!(runs)).start()).unwrap();
    let handle = wait(ivy.call(&FAIL, ())).unwrap();
    assert_eq!(wait(handle.result(SOON)).unwrap(), 7);
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[test]
fn beyond_the_limit_of_its_worker_a_postponement_is_a_failed_attempt() {
    let (ivy, runs) = (ivy(), Arc::new(AtomicU32::new(0)));
    let worker = worker(&ivy).max_later(1).register(&FAIL, twice_later!(runs));
    let _worker = wait(worker.start()).unwrap();
    let once = CallOptions::new().retry(false);
    let error = wait(wait(ivy.call_with(&FAIL, (), once)).unwrap().result(SOON)).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind.as_str(), failure.attempts), ("RetriesExhausted", 1));
    assert!(failure.message.contains("the worker's max_later is 1"), "{failure}");
}

#[test]
fn a_task_that_would_come_after_its_deadline_fails_at_once() {
    let (ivy, runs) = (ivy(), Arc::new(AtomicU32::new(0)));
    let hour = Duration::from_secs(3600);
    let late = handler!([runs], |_ctx: Ctx| {
        runs.fetch_add(1, Ordering::SeqCst);
        Err::<u64, _>(TaskError::later(2 * hour))
    });
    let _worker = wait(worker(&ivy).register(&FAIL, late).start()).unwrap();
    let options = CallOptions::new().expires_after(hour);
    let error = wait(wait(ivy.call_with(&FAIL, (), options)).unwrap().result(SOON)).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!((failure.kind.as_str(), failure.attempts), ("Deadline", 0));
    assert_eq!(runs.load(Ordering::SeqCst), 1);
}
