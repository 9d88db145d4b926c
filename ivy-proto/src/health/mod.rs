//! Whether a worker is live and ready, and the HTTP by which probes and scrapers ask.
//!
//! [`Worker::health`] returns the state of a worker as a [`WorkerHealth`]. *Live* says that the
//! worker's loop runs: a worker that is not live must be restarted. It never depends on the queue's
//! server, because a restart does not bring that back. *Ready* says that the worker takes messages: it
//! has started, does not drain, and at least one of its queues answers.
//!
//! [`http`] contains the requests that a health listener understands, and its responses. It does no
//! IO: a driver passes the bytes on.
//!
//! [`Worker::health`]: crate::worker::Worker::health

pub mod http;
mod liveness;
mod probes;
mod worker_health;

pub use liveness::{Liveness, Turns};
pub use worker_health::{ProbeCounts, QueueHealth, State, WorkerHealth};
