//! What the adapters of ivy share: its typed interface, and the pump that drives the protocol core,
//! over any runtime.
//!
//! A program depends on an adapter, `ivy-tokio`, `ivy-async-std` or `ivy-blocking`, whose names are
//! those of this crate for one runtime: `ivy_tokio::Ivy` is `Ivy<Tokio>`. This crate is for those who
//! write an adapter for another one:
//!
//! * [`Net`] resolves names and opens TCP connections, over which backends are reached; [`Clients`] makes
//!   the client for HTTP, which for an async runtime is [`http_client`];
//! * [`Runtime`] runs futures in the background, and sleeps;
//! * [`AsyncRuntime`] says that handlers are futures. The methods that wait are then `async`.
//!   `Threads` is the runtime without futures for its users: its methods block, its handlers are
//!   plain functions, and only [`Clients`] are left to be written.
//!
//! # Features
//!
//! Without any, there are queues and notifiers in memory, and those of the program's own.
//!
//! | feature | what it compiles in |
//! | --- | --- |
//! | `ironmq`, `redis` | the backends of these names, with `tls` |
//! | `http` | hyper, for backends that are reached over HTTP; an adapter with a client of its own does without |
//! | `tls` | rustls, without cryptography: the program installs a default provider |
//! | `ring`, `aws-lc-rs` | `tls` with this cryptography |
//! | `platform-verifier` | `tls`, and certificates are judged by the operating system |
//! | `threads` | the runtime `Threads` |
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
mod call_listener;
mod call_progress;
mod clock;
mod connecting;
mod context;
mod environment;
mod error;
mod events;
mod flag;
mod futures;
mod guarded;
mod handle;
mod handler_waits;
mod handlers;
mod ivy;
mod locked_machine;
mod log;
mod memory_notifier;
mod memory_queue;
mod nudge;
mod process;
mod producer;
mod pump;
mod random;
mod remote;
mod runtime;
#[cfg(test)]
mod testing;
#[cfg(feature = "threads")]
mod threads;
mod timeout;
mod tls;
mod worker;
mod worker_builder;

pub use admin::Admin;
pub use builder::IvyBuilder;
pub use context::Ctx;
pub use error::Error;
pub use events::Events;
pub use futures::{CancellationToken, FutureHandlers, TaskPerCallback};
pub use handle::Handle;
pub use handlers::{Adapter, HandlerCompletion, Handlers};
pub use ivy::Ivy;
pub use remote::http_client;
pub use runtime::{AsyncRuntime, Callbacks, Clients, HttpClient, Net, Runtime};
#[cfg(feature = "threads")]
pub use threads::{BlockingToken, CallbackThreads, ThreadHandlers, Threads};
pub use tls::Tls;
pub use worker::Worker;
pub use worker_builder::WorkerBuilder;

/// What other crates of this workspace share with this one, and nobody else may use: it changes without
/// notice.
#[doc(hidden)]
pub mod internal {
    pub use crate::connecting::connect_first;
    pub use crate::locked_machine::{
        LockedMachine, Machine, MachineStep, PendingResponse, Poisoned, Submitted,
    };
    pub use crate::remote::InterimResponses;
    #[cfg(feature = "threads")]
    pub use crate::threads::{ThreadPool, block_on, helping, spawn};
    pub use crate::tls::is_tls;
}

/// The core.
pub use ivy_proto;
pub use ivy_proto::backend::{HttpRequest, Notifier, Queue, RequestKind, SubscriptionEvent};

// Named by links of the documentation.
#[doc(no_inline)]
pub use ivy_proto::ErrorKind;
