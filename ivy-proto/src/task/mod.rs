//! Tasks: the contract that producer and worker share.
//!
//! * [`Task`] is the contract as a constant, [`TaskSettings`] its validated settings. [`NamedTask`] is
//!   a task whose contract is not known.
//! * [`Handler`] is a function that runs a task, and [`Registry`] contains a worker's handlers, as
//!   `std` futures that any runtime can poll. [`BlockingHandler`] and [`BlockingRegistry`] are the
//!   same for threads. [`State`] is a value that handlers share, [`Next`] what a layer surrounds.
//! * [`Callbacks`] are called with the results of tasks.
//! * [`TaskStatus`] is the state of a called task, [`TaskOutcome`] its result, [`TaskReleased`] why
//!   it waits for another worker, and [`TimedOut`] what its caller knows if there is no result.
//!
//! Some task names are reserved: the properties of every JavaScript object (`toString`,
//! `constructor`, ...), because a worker of the Node package deletes a message with such a name
//! without running anything, and names that begin with `ivy.`.

mod args;
mod call;
mod callbacks;
mod definition;
mod error;
#[cfg(test)]
mod float_tests;
mod handler;
mod layer;
mod named;
mod outcome;
mod panics;
mod registry;
mod released;
mod reserved_names;
mod settings;
mod state;
mod status;
mod timed_out;

pub use args::{BadArgs, FromArgs, ToArgs, UnwritableArgs};
pub use call::{CallOptions, InvalidCall, InvalidOption};
pub use callbacks::Callbacks;
pub use definition::Task;
pub(crate) use error::HandlerEnd;
pub use error::TaskError;
pub use handler::{BlockingHandler, Handler, WithCtx, WithoutCtx};
pub use layer::{BlockingNext, Done, Next, NextFuture};
pub use named::NamedTask;
pub use outcome::{TaskFailure, TaskOutcome};
pub use panics::discard_panic;
pub use registry::{BlockingRegistry, JobFuture, RegisterError, Registry, TaskSpec};
#[allow(deprecated)]
pub use released::TaskHeld;
pub use released::TaskReleased;
#[allow(deprecated)]
pub use reserved_names::ForbiddenName;
pub use reserved_names::ReservedName;
pub use settings::{InvalidTask, TaskSettings};
pub use state::{HandlerStates, MissingState, State, States};
pub use status::{IllegalChange, TaskChange, TaskStatus};
pub use timed_out::{QueuePlace, ResultSubscription, SendState, TimedOut};
