//! The tests that `guides/testing.md` shows.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::error::Error;
use std::time::Duration;

use ivy_blocking::testing::TestWorker;
use ivy_blocking::{Backoff, Ivy, Task, TaskError};

const DIVIDE: Task<(u64, u64), u64> = Task::new("math.divide").queue("math");

fn divide(a: u64, b: u64) -> Result<u64, TaskError> {
    a.checked_div(b).ok_or_else(|| TaskError::new("division by zero"))
}

#[test]
fn a_task_that_fails_again_and_again_is_dead_lettered() -> ivy_blocking::Result<()> {
    let ivy = Ivy::connect("memory://")?;
    // Time cannot be paused, so the attempts follow each other quickly.
    let (first, longest) = (Duration::from_millis(1), Duration::from_millis(5));
    let worker = ivy.worker().register(&DIVIDE, divide).backoff(Backoff::new(first, 2, longest));
    let _worker = worker.start()?;
    let error = ivy.call(&DIVIDE, (1, 0))?.result(Duration::from_secs(60)).unwrap_err();
    assert_eq!(error.failure().unwrap().attempts, 11);
    Ok(())
}

#[test]
fn a_division_by_zero_is_retried() -> Result<(), Box<dyn Error>> {
    let test = TestWorker::new()?.register(&DIVIDE, divide);
    assert_eq!(test.run(&DIVIDE, (8, 2))?, 4);
    assert!(test.run(&DIVIDE, (1, 0)).unwrap_err().is_retried());
    Ok(())
}
