//! The runtime-independent half of ivy's adapters: the typed interface, and the pump, a future that
//! feeds a state machine of the protocol core with inputs and executes its outputs, on any runtime.
//!
//! Programs depend on an adapter, `ivy-tokio`, `ivy-async-std` or `ivy-blocking`, which re-exports
//! these types for one runtime: `ivy_tokio::Ivy` is `Ivy<Tokio>`. Depend on this crate to write an
//! adapter for another runtime:
//!
//! * [`Net`] resolves names, opens the TCP connections to backends, and accepts those of probes; implement [`Clients`] by
//!   returning [`http_client`];
//! * [`Runtime`] spawns futures in the background, and sleeps;
//! * [`AsyncRuntime`] marks runtimes whose handlers are futures and whose methods are `async`.
//!   `Threads` is the runtime for users without futures: its methods block, its handlers are plain
//!   functions, and an adapter implements [`Net`] and [`Clients`] only.
//!
//! The module `runtime` of `ivy-tokio` is a complete adapter in 80 lines.
//!
//! # Features
//!
//! Without any feature there are queues and notifiers in memory, and custom backends.
//!
//! | feature | what it compiles in |
//! | --- | --- |
//! | `ironmq`, `redis` | the backends of these names, with `tls` |
//! | `http` | hyper, for backends over HTTP |
//! | `tls` | rustls, without cryptography: the program installs a default provider |
//! | `ring`, `aws-lc-rs` | `tls` with this cryptography |
//! | `platform-verifier` | `tls`, with certificates verified by the operating system |
//! | `threads` | the runtime `Threads` |
//!
//! # Errors
//!
//! Every fallible method returns an [`Error`], which every adapter re-exports with its own runtime:
//! its [`kind`](Error::kind) is for programs, its text for people. The text says what happened, to
//! which task and queue, why, and what to do next, and contains no secret and no payload. [`Net`]
//! fails with an [`std::io::Error`], which becomes a fault of the queue or of the notifier.
//!
//! # Limits
//!
//! Sizes, depths and numbers are limited by the core: see the section on limits in [`ivy_proto`].
//! [`IvyBuilder`] and [`WorkerBuilder`] set those that a program may change.
//!
//! # How it works
//!
//! Producer, worker and the in-memory broker are machines of [`ivy_proto`]: they decide everything
//! and do no IO. Each has a mailbox and a pump in this crate: a future that feeds the machine with
//! its inputs, polls its outputs, and executes them. The pump itself polls the
//! operations on queue and notifier; only handlers and callbacks run elsewhere. On threads, the
//! thread that wakes a pump also runs it, unless it is executing code of the program.

mod admin;
mod alarm;
mod builder;
mod built_in;
mod call_changes;
mod call_listener;
mod call_progress;
mod call_stream;
mod check;
mod clock;
mod connecting;
mod context;
mod environment;
mod error;
mod events;
mod flag;
mod fork_check;
mod futures;
mod guarded_backend;
mod handle;
mod handler_waits;
mod handlers;
mod health;
mod identity;
mod ivy;
mod locked_machine;
mod log;
mod many;
mod memory;
mod memory_notifier;
mod memory_queue;
mod metrics;
mod nudge;
mod producer;
mod producer_status;
mod pump;
mod random;
mod remote;
mod runtime;
mod sending;
mod served_queues;
mod sweep;
mod test_worker;
#[cfg(test)]
mod testing;
#[cfg(feature = "threads")]
mod threads;
mod timeout;
mod tls;
mod trace;
mod worker;
mod worker_builder;
mod worker_watch;

pub use admin::Admin;
pub use builder::IvyBuilder;
#[cfg(feature = "threads")]
pub use call_stream::NothingYet;
pub use call_stream::{CallStream, StreamedResult};
pub use context::Ctx;
pub use error::Error;
pub use events::Events;
pub use futures::{CancellationToken, FutureHandlers, TaskPerCallback};
pub use handle::Handle;
pub use handlers::{Adapter, HandlerCompletion, Handlers};
pub use health::HealthError;
pub use ivy::Ivy;
pub use remote::http_client;
pub use runtime::{AsyncRuntime, Callbacks, Clients, HttpClient, Net, Runtime};
pub use sweep::{RunningSweep, SweepInterrupter, SweepStep};
pub use test_worker::{
    CtxBuilder, NextStep, RecordedCall, TestFailure, TestFailureKind, TestWorker,
};
#[cfg(feature = "threads")]
pub use threads::{BlockingToken, CallbackThreads, ThreadHandlers, Threads};
pub use tls::Tls;
pub use trace::Propagation;
pub use worker::Worker;
pub use worker_builder::WorkerBuilder;
pub use worker_watch::WorkerWatch;

/// Internals shared with other crates of this workspace. Not covered by semver: they change without
/// notice.
#[doc(hidden)]
pub mod internal {
    pub use crate::health::{HealthListener, Pages, serve};
    pub use crate::locked_machine::{
        LockedMachine, Machine, MachineStep, PendingResponse, Poisoned, Submitted,
    };
    #[cfg(feature = "threads")]
    pub use crate::threads::{run_woken_by, spawn};
}

/// Re-export of the core.
pub use ivy_proto;
pub use ivy_proto::backend::{HttpRequest, Notifier, Queue, SubscriptionEvent};

// Target of documentation links.
#[doc(no_inline)]
pub use ivy_proto::ErrorKind;
