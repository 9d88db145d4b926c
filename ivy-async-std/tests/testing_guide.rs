//! The tests that `guides/testing.md` shows.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::error::Error;

use ivy_async_std::testing::TestWorker;
use ivy_async_std::{Task, TaskError};

const DIVIDE: Task<(u64, u64), u64> = Task::new("math.divide").queue("math");

async fn divide(a: u64, b: u64) -> Result<u64, TaskError> {
    a.checked_div(b).ok_or_else(|| TaskError::new("division by zero"))
}

#[test]
fn a_division_by_zero_is_retried() -> Result<(), Box<dyn Error>> {
    // `smol::block_on` works too.
    async_std::task::block_on(async {
        let test = TestWorker::new()?.register(&DIVIDE, divide);
        assert_eq!(test.run(&DIVIDE, (8, 2)).await?, 4);
        assert!(test.run(&DIVIDE, (1, 0)).await.unwrap_err().is_retried());
        Ok(())
    })
}
