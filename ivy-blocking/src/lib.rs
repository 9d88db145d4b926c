//! ivy for programs without an async runtime: call a function by its name, let a worker elsewhere
//! run it, and get its typed result back. No async runtime is compiled in; of tokio, only the
//! channels that hyper uses are.
//!
//! # Getting started
//!
//! ```toml
//! [dependencies]
//! ivy-blocking = "0.1"
//! ```
//!
//! A [`Task`] is the contract that both sides share: a name, a queue, and the types of its arguments
//! and its result. The worker registers a handler for it, and the producer calls it.
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
//! // Everything in this process. A real program uses `redis://`, or
//! // `Ivy::from_env()`.
//! let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://").build()?;
//!
//! // The worker, usually in another process.
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
//! The examples `blocking_producer` and `blocking_worker` do the same in two separate programs.
//! [`Ivy::call_with`] sets a delay, a priority or a route, [`Ivy::call_many`] sends a batch,
//! [`Ivy::call_stream`] returns the results of any number of calls as they arrive (example
//! `blocking_importer`), and [`Ivy::send`] does not wait for a result. [`Ivy::events`] reports what
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
//! use ivy_blocking::{Ctx, Ivy, State, Task, TaskError};
//! use std::time::{Duration, Instant};
//!
//! const PRICE: Task<(u64,), u64> = Task::new("docs.price").queue("docs");
//!
//! struct Prices {
//!     cents: u64,
//! }
//!
//! fn price(State(prices): State<Prices>, ctx: Ctx, amount: u64) -> Result<u64, TaskError> {
//!     println!("attempt {}", ctx.attempt());
//!     Ok(amount * prices.cents)
//! }
//!
//! # fn main() -> ivy_blocking::Result<()> {
//! let ivy = Ivy::connect("memory://")?;
//! let worker = ivy
//!     .worker()
//!     .state(Prices { cents: 250 })
//!     .layer(|next, ctx| {
//!         let (task, started) = (ctx.task_name().clone(), Instant::now());
//!         let result = next.run(ctx);
//!         println!("{task} took {:?}: {result:?}", started.elapsed());
//!         result
//!     })
//!     .register(&PRICE, price)
//!     .start()?;
//!
//! let handle = ivy.call(&PRICE, (3,))?;
//! assert_eq!(handle.result(Duration::from_secs(5))?, 750);
//! worker.drain(Duration::from_secs(5));
//! # Ok(())
//! # }
//! ```
#![doc = include_str!("../docs/reference.md")]
//! # Threads
//!
//! All methods can be called from any thread, concurrently. Each [`Ivy`] in use has a thread for
//! its calls, up to sixteen for callbacks, one for each connection and two more for its servers.
//! Each [`Worker`] has a thread of its own and up to [`concurrency`](WorkerBuilder::concurrency) for
//! handlers. A queue over HTTP has a connection for each request in flight, and for each queue that
//! a worker waits for. Idle threads and connections end after a while.
//!
//! While a thread waits for a reply or a result, it runs the background work that its call has
//! triggered, and so does a thread that has run a handler, before it runs the next: a switch to
//! another thread and back would take longer than that work. This never delays the program's own
//! code: when the method returns, the remaining work continues in ivy's own threads. Callbacks and
//! handlers never run in a thread of the caller.
//!
//! # Forks
//!
//! A fork copies one thread of a process, and none of those that work for an [`Ivy`]. An [`Ivy`]
//! belongs to the process of its first call, worker or admin request. A server that forks its
//! workers may create it before forking: each child then has a reply channel and connections of its
//! own. In a child forked after the first use, operations fail immediately as
//! [`Stopped`](ErrorKind::Stopped); create an [`Ivy`] in the child.
//!
//! # Cancellation
//!
//! A handler cannot be stopped from outside. Its [`Ctx::cancelled`] reports when its result is no
//! longer needed, because its lease was lost, its time limit has passed, or the worker has drained for
//! as long as it may. It should then return: until it does, it occupies its thread.

mod listener;
mod net;
mod reading;
mod runtime;

pub use runtime::{Clients, Runtime};

/// Calls and runs tasks over a queue and a notifier.
pub type Ivy = ivy_driver::Ivy<Runtime>;
/// Configures an [`Ivy`]: its queue, notifier, keys and options. Created by [`Ivy::builder`].
pub type IvyBuilder = ivy_driver::IvyBuilder<Runtime>;
/// Waits for the result of a call. Returned by [`Ivy::call`].
pub type Handle<Output> = ivy_driver::Handle<Runtime, Output>;
/// An iterator over the results of many calls, in the order in which they arrive. Returned by
/// [`Ivy::call_stream`]. [`CallStream::next_within`] waits with a limit.
pub type CallStream<'a, Output> = ivy_driver::CallStream<'a, Runtime, Output>;
/// The result of one call of a [`CallStream`].
pub type StreamedResult<Output> = ivy_driver::StreamedResult<Runtime, Output>;
/// Configures a worker and starts it. Created by [`Ivy::worker`].
pub type WorkerBuilder = ivy_driver::WorkerBuilder<Runtime>;
/// A running worker. Returned by [`WorkerBuilder::start`].
pub type Worker = ivy_driver::Worker<Runtime>;
/// The context of a running handler: its task, message, attempt and deadline. A handler receives it
/// if it has a parameter of type `Ctx` before its arguments. Cheap to clone.
pub type Ctx = ivy_driver::Ctx<Runtime>;
/// What a layer surrounds: the layers inside it, and the handler. See [`WorkerBuilder::layer`].
pub type Next = ivy_proto::task::BlockingNext<Ctx>;
/// A stream of events. Created by [`Ivy::events`] and [`Worker::events`].
pub type Events = ivy_driver::Events<Runtime>;
/// Peeks into queues, lists, creates, clears and sweeps them. Created by [`Ivy::admin`].
pub type Admin = ivy_driver::Admin<Runtime>;
/// A sweep in progress. Created by [`Admin::sweep`].
pub type RunningSweep = ivy_driver::RunningSweep<Runtime>;
/// Listens for workers. Created by [`Ivy::watch_workers`].
pub type WorkerWatch = ivy_driver::WorkerWatch<Runtime>;
/// An error of ivy: what happened, to which task and queue, why, and what to do next.
pub type Error = ivy_driver::Error<Runtime>;
/// A result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Signals cancellation to a handler and to the work that it started elsewhere: see
/// [`Ctx::cancelled`].
pub use ivy_driver::BlockingToken as CancellationToken;

/// Runs handlers in tests, without a server.
pub mod testing {
    /// Runs a handler in a test: once for each call of `run`.
    pub type TestWorker = ivy_driver::TestWorker<super::Runtime>;
    /// Builds the context of a handler. Created by [`Ctx::for_test`](super::Ctx::for_test).
    pub type CtxBuilder = ivy_driver::CtxBuilder<super::Runtime>;

    pub use ivy_driver::{NextStep, RecordedCall, TestFailure, TestFailureKind};
    pub use ivy_proto::worker::CancelReason;
}

/// An HTTP client, for queues reached over HTTP.
pub use ivy_driver::HttpClient;

/// The core, for items that this crate does not re-export. Documentation examples of core types
/// refer to it as `ivy_proto`; a program that depends on this crate alone imports it from here.
pub use ivy_proto;

pub use ivy_driver::{HealthError, NothingYet, Propagation, SweepInterrupter, SweepStep};
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
