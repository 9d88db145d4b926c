//! Ivy's benchmarks, which compare ivy with the raw parts that it uses.
//!
//! `README.md` in this directory describes what is measured and how, and contains the figures of
//! the last run.

mod adapters;
mod bare_servers;
mod calls;
mod codec;
mod connections;
mod count;
mod cpu;
mod frames;
mod growth;
mod http;
mod idle;
mod load;
mod machines;
mod measure;
mod pairs;
mod pause;
mod peers;
mod redis_queue;
mod resident;
mod result_delivery;
mod round_trip;
mod samples;
mod sending;
mod serve;
mod server;
mod soak;
mod targets;
mod wire;
mod working;

pub use bare_servers::{Depth, serve as serve_bare};
pub use connections::{PollCost, poll_cost};
pub use growth::{LoadedWorker, Store, WaitingProducer};
pub use idle::{Idle, worker as idle_worker};
pub use load::{Load, Step};
pub use measure::{Figures, measure};
pub use pairs::{Effort, Score, pinned, score};
pub use pause::{first_tasks, first_trips};
pub use resident::figures as resident;
pub use server::{COUNTER, Process, SERVER_CORES, SERVER_COUNTER, Server};
pub use soak::soak;
pub use targets::{
    GROWTH, GROWTH_GATE, Gate, Growth, Measure, POLL_BYTES, POLLS_WORK, Placement,
    peer_comparisons, targets,
};

/// A runtime of one thread.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
