//! The worker: reserves messages, has their tasks run, and settles each message exactly as its
//! task ended.

mod io;

pub use io::{CancelReason, Input, JobOutcome, Output, Run, Why};
