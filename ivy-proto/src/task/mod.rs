//! Tasks: the contract that producer and worker share.
//!
//! * [`Task`] is that contract as a constant, [`TaskSettings`] what it says, checked.
//! * [`Handler`] is a function that runs a task, and [`Registry`] keeps a worker's handlers. Both
//!   are `std` futures, which any runtime can poll. [`BlockingHandler`] and [`BlockingRegistry`]
//!   are the same for threads.
//! * [`Callbacks`] are functions that are called with the results of tasks.
//! * [`TaskStatus`] tells where a scheduled task stands, [`TaskOutcome`] how it ended, and
//!   [`TaskHeld`] why it waits for another worker.
//!
//! Some names no task may have: the properties of every JavaScript object (`toString`,
//! `constructor`, ...), since a worker of the original that meets one deletes the message without
//! running anything, and everything that begins with `ivy.`.

mod args;
mod call;
mod callbacks;
mod definition;
mod error;
#[cfg(test)]
mod floats;
mod handler;
mod held;
mod names;
mod outcome;
mod panics;
mod registry;
mod settings;
mod status;

pub use args::{BadArgs, FromArgs, ToArgs, UnwritableArgs};
pub use call::{CallOptions, InvalidCall, InvalidOption};
pub use callbacks::Callbacks;
pub use definition::Task;
pub use error::TaskError;
pub use handler::{BlockingHandler, Handler, WithCtx, WithoutCtx};
pub use held::TaskHeld;
pub use names::ForbiddenName;
pub use outcome::{TaskFailure, TaskOutcome};
pub use panics::discard_panic;
pub use registry::{BlockingRegistry, JobFuture, RegisterError, Registry, TaskSpec};
pub use settings::{InvalidTask, TaskSettings};
pub use status::{IllegalChange, TaskChange, TaskStatus};
