//! ivy for programs on async-std or smol: call a function by its name, let a worker elsewhere run
//! it, and get its typed result back.
//!
//! async-std is discontinued: 1.13.2 of August 2025 is its last version, deprecated in favour of
//! [smol](https://docs.rs/smol). This crate works equally well under smol.
//!
//! async-std is built on smol's crates, and only its sockets, timers and tasks are used here. So
//! the futures can be awaited on any executor, while background work runs on async-std's threads.
//! No tokio runtime is started. New programs should prefer `ivy-tokio`, or `ivy-blocking` if they
//! use no runtime: the names are the same.
//!
//! # Getting started
//!
//! ```toml
//! [dependencies]
//! ivy-async-std = "0.1"
//! async-std = { version = "1.13", features = ["attributes"] } # or smol
//! ```
//!
//! A [`Task`] is the contract that both sides share: a name, a queue, and the types of its arguments
//! and its result. The worker registers a handler for it, and the producer calls it.
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
//! // Everything in this process. A real program uses `redis://`, or
//! // `Ivy::from_env()`.
//! let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://").build()?;
//!
//! // The worker, usually in another process.
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
//! The examples `async_std_producer` and `async_std_worker` do the same in two separate programs.
//! [`Ivy::call_with`] sets a delay, a priority or a route, [`Ivy::call_many`] sends a batch,
//! [`Ivy::call_stream`] returns the results of any number of calls as they arrive (example
//! `async_std_importer`), and [`Ivy::send`] does not wait for a result. [`Ivy::events`] reports what
//! happens, and [`Ivy::admin`] inspects queues.
//!
//! # States and layers
//!
//! A handler takes a value that the worker shares with it, such as a database pool, as a
//! [`State`]: before its [`Ctx`], if it takes one, and before its arguments. A worker that lacks a
//! state of one of its handlers does not start. A layer is code around all handlers of a worker. It
//! may measure, look at the [`Ctx`], or refuse a task by returning an error instead of running
//! the handler:
//!
//! ```
//! use ivy_async_std::{Ctx, Ivy, State, Task, TaskError};
//! use std::time::{Duration, Instant};
//!
//! const PRICE: Task<(u64,), u64> = Task::new("docs.price").queue("docs");
//!
//! struct Prices {
//!     cents: u64,
//! }
//!
//! async fn price(State(prices): State<Prices>, ctx: Ctx, amount: u64) -> Result<u64, TaskError> {
//!     println!("attempt {}", ctx.attempt());
//!     Ok(amount * prices.cents)
//! }
//!
//! # #[async_std::main]
//! # async fn main() -> ivy_async_std::Result<()> {
//! let ivy = Ivy::connect("memory://")?;
//! let worker = ivy
//!     .worker()
//!     .state(Prices { cents: 250 })
//!     .layer(|next, ctx| async move {
//!         let (task, started) = (ctx.task_name().clone(), Instant::now());
//!         let result = next.run(ctx).await;
//!         println!("{task} took {:?}: {result:?}", started.elapsed());
//!         result
//!     })
//!     .register(&PRICE, price)
//!     .start().await?;
//!
//! let handle = ivy.call(&PRICE, (3,)).await?;
//! assert_eq!(handle.result(Duration::from_secs(5)).await?, 750);
//! worker.drain(Duration::from_secs(5)).await;
//! # Ok(())
//! # }
//! ```
#![doc = include_str!("../docs/reference.md")]
//! # Blocking
//!
//! Handlers share the threads of the runtime with the worker that renews their leases. A handler
//! that blocks its thread, by long computations or blocking calls, delays the renewals: leases are
//! lost, and tasks run twice. Use `async_std::task::spawn_blocking` or `smol::unblock` for blocking
//! work. A worker that was woken too late logs a warning, at most once a minute.
//!
//! # Forks
//!
//! A runtime does not survive a fork, and an [`Ivy`] belongs to the process that first uses it:
//! create both in the child. In a child, an `Ivy` used before the fork fails with
//! [`Stopped`](ErrorKind::Stopped).
//!
//! # Cancellation
//!
//! Every future of this crate may be dropped at any time. After that, a task of [`Ivy::call`] or
//! [`Ivy::send`] may or may not have been sent, and so may those of [`Ivy::call_many`] and
//! [`Ivy::send_many`] whose arguments were taken. [`Handle::result`], [`CallStream::next`],
//! [`Events::next`] and [`Worker::drain`] are cancel safe and can be called again.

mod runtime;

pub use runtime::AsyncStd;

/// Calls and runs tasks over a queue and a notifier.
pub type Ivy = ivy_driver::Ivy<AsyncStd>;
/// Configures an [`Ivy`]: its queue, notifier, keys and options. Created by [`Ivy::builder`].
pub type IvyBuilder = ivy_driver::IvyBuilder<AsyncStd>;
/// Waits for the result of a call. Returned by [`Ivy::call`].
pub type Handle<Output> = ivy_driver::Handle<AsyncStd, Output>;
/// The results of many calls as a stream, in the order in which they arrive. Returned by
/// [`Ivy::call_stream`].
pub type CallStream<'a, Output> = ivy_driver::CallStream<'a, AsyncStd, Output>;
/// The result of one call of a [`CallStream`].
pub type StreamedResult<Output> = ivy_driver::StreamedResult<AsyncStd, Output>;
/// Configures a worker and starts it. Created by [`Ivy::worker`].
pub type WorkerBuilder = ivy_driver::WorkerBuilder<AsyncStd>;
/// A running worker. Returned by [`WorkerBuilder::start`].
pub type Worker = ivy_driver::Worker<AsyncStd>;
/// The context of a running handler: its task, message, attempt and deadline. A handler receives it
/// if it has a parameter of type `Ctx` before its arguments. Cheap to clone.
pub type Ctx = ivy_driver::Ctx<AsyncStd>;
/// What a layer surrounds: the layers inside it, and the handler. See [`WorkerBuilder::layer`].
pub type Next = ivy_proto::task::Next<Ctx>;
/// A stream of events. Created by [`Ivy::events`] and [`Worker::events`].
pub type Events = ivy_driver::Events<AsyncStd>;
/// Peeks into queues, lists, creates, clears and sweeps them. Created by [`Ivy::admin`].
pub type Admin = ivy_driver::Admin<AsyncStd>;
/// A sweep in progress. Created by [`Admin::sweep`].
pub type RunningSweep = ivy_driver::RunningSweep<AsyncStd>;
/// Listens for workers. Created by [`Ivy::watch_workers`].
pub type WorkerWatch = ivy_driver::WorkerWatch<AsyncStd>;
/// An error of ivy: what happened, to which task and queue, why, and what to do next.
pub type Error = ivy_driver::Error<AsyncStd>;
/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

pub use ivy_driver::CancellationToken;

/// Runs handlers in tests, without a server.
pub mod testing {
    /// Runs a handler in a test: once for each call of `run`.
    pub type TestWorker = ivy_driver::TestWorker<super::AsyncStd>;
    /// Builds the context of a handler. Created by [`Ctx::for_test`](super::Ctx::for_test).
    pub type CtxBuilder = ivy_driver::CtxBuilder<super::AsyncStd>;

    pub use ivy_driver::{NextStep, RecordedCall, TestFailure, TestFailureKind};
    pub use ivy_proto::worker::CancelReason;
}

/// An HTTP client, for queues reached over HTTP.
pub use ivy_driver::HttpClient;

/// The core, for items that this crate does not re-export. Documentation examples of core types
/// refer to it as `ivy_proto`; a program that depends on this crate alone imports it from here.
pub use ivy_proto;

pub use ivy_driver::{HealthError, Propagation, SweepInterrupter, SweepStep};
pub use ivy_proto::admin::{self, Peeked};
pub use ivy_proto::check::{self, CheckReport};
pub use ivy_proto::event::{self, Event};
pub use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
pub use ivy_proto::producer::SendError;
pub use ivy_proto::queue::{Fault, FaultKind, QueueInfo};
pub use ivy_proto::task::{
    CallOptions, Done, NamedTask, State, Task, TaskError, TaskFailure, TimedOut,
};
pub use ivy_proto::wire::{
    Content, DeadLetterReason, TraceContext, TraceParent, TraceState, crypto,
};
pub use ivy_proto::worker::{Relation, ReplayWindow, TraceRelation};
pub use ivy_proto::{
    Backoff, Cause, ErrorKind, MessageId, QueueName, Secret, TaskId, TaskName, health, metrics,
    presence,
};
