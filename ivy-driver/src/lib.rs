//! What the adapters of ivy share: its typed interface, and the pump that drives the protocol core,
//! over any runtime.
//!
//! A program depends on an adapter, `ivy-tokio`, `ivy-async-std` or `ivy-blocking`, whose names are
//! those of this crate for one runtime: `ivy_tokio::Ivy` is `Ivy<Tokio>`. This crate is for those who
//! write an adapter for another one:
//!
//! * [`Net`] opens TCP connections, and [`Clients`] makes the client for HTTP;
//! * [`Runtime`] runs futures in the background, and sleeps;
//! * [`AsyncRuntime`] says that handlers are futures. The methods that wait are then `async`.
//!   [`Threads`] is the runtime without futures for its users: its methods block, its handlers are
//!   plain functions, and only [`Clients`] are left to be written.
//!
//! # How it works
//!
//! Producer, worker and the broker in memory are machines of [`ivy_proto`], which decide everything
//! and do nothing. Each has a mailbox and a pump here: a future that takes in what has come, lets the
//! machine tell what it wants done, and carries it out. What is asked of queue and notifier is polled
//! by the pump itself; only handlers and callbacks run elsewhere. On threads, whoever wakes a pump
//! works on it, unless he is in the midst of a program's own code.

mod admin;
mod builder;
mod built_in;
mod clock;
mod connecting;
mod context;
mod error;
mod events;
mod exchange;
mod flag;
mod futures;
mod guarded;
mod handle;
mod hub;
mod interim;
mod ivy;
mod log;
mod memory;
mod nudge;
mod process;
mod producer;
mod pump;
mod random;
mod reach;
mod runtime;
#[cfg(test)]
mod testing;
mod threads;
mod tls;
mod waits;
mod worker;
mod worker_builder;

pub use admin::Admin;
pub use builder::IvyBuilder;
pub use connecting::{Resolver, connect_first, no_address, out_of_time, race};
pub use context::Ctx;
pub use error::Error;
pub use events::Events;
pub use futures::{CancellationToken, FutureHandlers, TaskPerCallback};
pub use handle::Handle;
pub use interim::InterimAnswers;
pub use ivy::Ivy;
pub use runtime::{AsyncRuntime, Callbacks, Clients, Handlers, HttpClient, Net, Runtime};
pub use threads::{
    BlockingToken, CallbackThreads, ThreadHandlers, ThreadPool, Threads, UnderWay, Wanted,
    block_on, helping, spawn, under_way,
};
pub use tls::{NoTls, OwnRoots, is_tls};
pub use worker::{Ended, Worker};
pub use worker_builder::WorkerBuilder;

/// The core.
pub use ivy_proto;
pub use ivy_proto::backend::{Heard, HttpRequest, Notifier, Queue, RequestKind};

// Named by links of the documentation.
#[doc(no_inline)]
pub use ivy_proto::ErrorKind;
