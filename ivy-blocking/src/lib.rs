//! ivy for programs on threads: call a function by its name, have it run by a worker somewhere else,
//! and get its typed result back. No async runtime is needed, nor compiled in.
//!
//! ```
//! use ivy_blocking::{Ivy, Task, TaskError};
//! use std::time::Duration;
//!
//! /// The contract that producer and worker share.
//! const FACTORIAL: Task<(u64,), u64> = Task::new("docs.factorial").queue("docs");
//!
//! fn factorial(n: u64) -> Result<u64, TaskError> {
//!     (1..=n).try_fold(1, u64::checked_mul).ok_or_else(|| TaskError::fatal("too large"))
//! }
//!
//! # fn main() -> ivy_blocking::Result<()> {
//! // Everything in this process. A real program uses `ironmq://` and `redis://`, or
//! // `Ivy::from_env()`.
//! let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://").build()?;
//!
//! // The worker, mostly in another process.
//! let worker = ivy.worker().register(&FACTORIAL, factorial).start()?;
//!
//! // The producer.
//! let handle = ivy.call(&FACTORIAL, (5,))?;
//! assert_eq!(handle.result(Duration::from_secs(5))?, 120);
//!
//! worker.drain(Duration::from_secs(5));
//! # Ok(())
//! # }
//! ```
//!
//! # What happens to a task
//!
//! A task is accepted when [`Ivy::call`] or [`Ivy::send`] has returned `Ok`. From then on it is
//! queued, reserved by a worker, done, or kept in the dead-letter queue `<queue>.dead`: never lost,
//! and run at least once. It may be run more than once, after a crash or a lost answer, so handlers
//! should bear that. A task that fails is tried again, later and later, as often as its [`Task`]
//! says. The result is brought back by the notifier, at most once and best effort, so a caller
//! waits for it with a limit; the task itself does not depend on it.
//!
//! # Values
//!
//! Arguments and results travel as JSON, which has one `null`: `Some(())` and `Some(None)` are
//! written as it, and come back as `None`. See [`Task`].
//!
//! # Threads
//!
//! Everything can be called from any thread, by several at a time. Each [`Ivy`] that is used has a
//! thread for its calls, up to sixteen for requests to its queue and as many for callbacks, and two
//! for Redis. Each [`Worker`] has a thread of its own, one for each queue that it waits for, and up
//! to [`concurrency`](WorkerBuilder::concurrency) for handlers. Those that have nothing to do for
//! long end.
//!
//! A thread that waits for an answer or a result works meanwhile on what its call has set going, and
//! so does one that has run a handler, before it runs the next: a switch to another thread and back
//! would take longer than that work. Nothing of it waits for a program's own code: when the method
//! returns, what is left goes on in ivy's own threads. Callbacks and handlers never run in a thread
//! of the caller.
//!
//! # Handlers that wait
//!
//! A handler that waits for the result of another task keeps its place in the worker meanwhile. Where
//! all places are taken so, by handlers that wait for tasks of the same worker, nothing moves until a
//! wait ends; the worker warns of that. Give tasks that others wait for a queue and a worker of their
//! own. When the worker drains, such a wait fails as [`Draining`](ErrorKind::Draining); the handler
//! returns that error, and its task runs again elsewhere, without an attempt less.
//!
//! # Forks
//!
//! A fork copies one thread of a process, and none of those that work for an [`Ivy`]. An [`Ivy`] belongs
//! to the process of its first call, worker or look at a queue. A server that forks its workers may make
//! it before: each child has a reply channel and connections of its own then. In a child that was forked
//! after the first use, what would wait fails at once as [`Stopped`](ErrorKind::Stopped); make an [`Ivy`]
//! there.
//!
//! # Cancellation
//!
//! A handler cannot be stopped from outside. It is told by its [`Ctx`] when its result is not wanted
//! any more, and should then return.
//!
//! # Logging
//!
//! Sending runs in the span `ivy.send`, handlers in the span `ivy.run`, with the fields `task.id`,
//! `task.name`, `queue` and `attempt`. What happens is logged at debug, and what somebody should
//! look at, at warn. No subscriber is installed here.

#[cfg(feature = "http")]
mod http;
mod net;
mod runtime;

pub use runtime::{Clients, Runtime};

/// The entrance: a queue and a notifier, to call tasks and to run them.
pub type Ivy = ivy_driver::Ivy<Runtime>;
/// Says where tasks are queued and results travel. Made by [`Ivy::builder`].
pub type IvyBuilder = ivy_driver::IvyBuilder<Runtime>;
/// Waits for the result of a call. Made by [`Ivy::call`].
pub type Handle<Output> = ivy_driver::Handle<Runtime, Output>;
/// Says what a worker serves, and how, and starts it. Made by [`Ivy::worker`].
pub type WorkerBuilder = ivy_driver::WorkerBuilder<Runtime>;
/// A running worker. Made by [`WorkerBuilder::start`].
pub type Worker = ivy_driver::Worker<Runtime>;
/// What a handler learns about the task that it runs, if it asks for it as its first argument.
pub type Ctx = ivy_driver::Ctx<Runtime>;
/// What happens. Made by [`Ivy::events`] and [`Worker::events`].
pub type Events = ivy_driver::Events<Runtime>;
/// Looks at queues, and empties them. Made by [`Ivy::admin`].
pub type Admin = ivy_driver::Admin<Runtime>;
/// Something went wrong: what, with which task on which queue, why, and what to do about it.
pub type Error = ivy_driver::Error<Runtime>;
/// The result of what this crate does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Tells a handler, and what it has started elsewhere, to stop: see [`Ctx::cancelled`].
pub use ivy_driver::BlockingToken as CancellationToken;

/// Sends requests to a queue that is reached over HTTP.
pub use ivy_driver::HttpClient;

/// The core, for what is not named here. Examples beside types of the core name it `ivy_proto`;
/// where only this crate is depended on, `use` it from here.
pub use ivy_proto;

pub use ivy_proto::admin::Peeked;
pub use ivy_proto::event::{self, Event};
pub use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
pub use ivy_proto::producer::SendError;
pub use ivy_proto::queue::{Fault, FaultKind, QueueInfo};
pub use ivy_proto::task::{CallOptions, Task, TaskError, TaskFailure};
pub use ivy_proto::wire::{Content, DeadLetterReason, TraceParent, TraceState, crypto};
pub use ivy_proto::worker::ReplayWindow;
pub use ivy_proto::{Backoff, Cause, ErrorKind, MessageId, QueueName, Secret, TaskId, TaskName};
