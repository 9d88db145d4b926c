//! Tasks: the contract that producer and worker share.

mod error;
mod outcome;

pub use error::TaskError;
pub use outcome::{TaskFailure, TaskOutcome};
