//! ivy for programs on async-std or smol: call a function by its name, have it run by a worker
//! somewhere else, and get its typed result back. async-std has ended: 1.13.2 of August 2025 is its
//! last version, deprecated in favour of [smol](https://docs.rs/smol). This crate runs equally under
//! smol.
//!
//! async-std is made of smol's parts, and only its sockets, timers and tasks are used here. So the
//! futures can be awaited on any executor, while what works in the background runs on async-std's
//! threads. No tokio runtime is started. A new program may prefer `ivy-tokio`, or `ivy-blocking`
//! without any runtime: the names are the same.
//!
//! ```
//! use ivy_async_std::{Ivy, Task, TaskError};
//! use std::time::Duration;
//!
//! /// The contract that producer and worker share.
//! const FACTORIAL: Task<(u64,), u64> = Task::new("docs.factorial").queue("docs");
//!
//! async fn factorial(n: u64) -> Result<u64, TaskError> {
//!     (1..=n).try_fold(1, u64::checked_mul).ok_or_else(|| TaskError::fatal("too large"))
//! }
//!
//! # #[async_std::main]
//! # async fn main() -> ivy_async_std::Result<()> {
//! // Everything in this process. A real program uses `ironmq://` and `redis://`, or
//! // `Ivy::from_env()`.
//! let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://").build()?;
//!
//! // The worker, mostly in another process.
//! let worker = ivy.worker().register(&FACTORIAL, factorial).start().await?;
//!
//! // The producer.
//! let handle = ivy.call(&FACTORIAL, (5,)).await?;
//! assert_eq!(handle.result(Duration::from_secs(5)).await?, 120);
//!
//! worker.drain(Duration::from_secs(5)).await;
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
//! # Blocking
//!
//! Handlers and the worker that renews their leases share the threads of the runtime. A handler that
//! blocks its thread, by computing for long or by calling what blocks, keeps the worker from that:
//! leases are lost, and tasks run twice. What blocks belongs into `async_std::task::spawn_blocking`,
//! or `smol::unblock`. A worker that was woken too late says so at warn, at most once a minute.
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
//! A runtime does not outlive a fork, and an [`Ivy`] belongs to the process of its first use: make both
//! in the child. There, one that was used before is refused as [`Stopped`](ErrorKind::Stopped).
//!
//! # Cancellation
//!
//! Every future of this crate can be dropped at any time. [`Ivy::call`] and [`Ivy::send`] then leave
//! open whether the task was sent. [`Handle::result`], [`Events::next`] and [`Worker::drain`] lose
//! nothing, and can be called again.
//!
//! # Logging
//!
//! Sending runs in the span `ivy.send`, handlers in the span `ivy.run`, with the fields `task.id`,
//! `task.name`, `queue` and `attempt`. What happens is logged at debug, and what somebody should
//! look at, at warn. No subscriber is installed here.

mod runtime;

pub use runtime::AsyncStd;

/// The entrance: a queue and a notifier, to call tasks and to run them.
pub type Ivy = ivy_driver::Ivy<AsyncStd>;
/// Says where tasks are queued and results travel. Made by [`Ivy::builder`].
pub type IvyBuilder = ivy_driver::IvyBuilder<AsyncStd>;
/// Waits for the result of a call. Made by [`Ivy::call`].
pub type Handle<Output> = ivy_driver::Handle<AsyncStd, Output>;
/// Says what a worker serves, and how, and starts it. Made by [`Ivy::worker`].
pub type WorkerBuilder = ivy_driver::WorkerBuilder<AsyncStd>;
/// A running worker. Made by [`WorkerBuilder::start`].
pub type Worker = ivy_driver::Worker<AsyncStd>;
/// What a handler learns about the task that it runs, if it asks for it as its first argument.
pub type Ctx = ivy_driver::Ctx<AsyncStd>;
/// What happens. Made by [`Ivy::events`] and [`Worker::events`].
pub type Events = ivy_driver::Events<AsyncStd>;
/// Looks at queues, and empties them. Made by [`Ivy::admin`].
pub type Admin = ivy_driver::Admin<AsyncStd>;
/// Something went wrong: what, with which task on which queue, why, and what to do about it.
pub type Error = ivy_driver::Error<AsyncStd>;
/// The result of what this crate does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub use ivy_driver::CancellationToken;

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
