//! Ivy's benchmarks: what it does, measured beside the raw parts that it is made of.
//!
//! `README.md` in this folder says what is measured and how, and has the figures of the last run.

mod adapters;
mod bare;
mod codec;
mod connections;
mod cpu;
mod growth;
mod load;
mod machines;
mod measure;
mod pairs;
mod round_trip;
mod samples;
mod serve;
mod server;
mod targets;
mod wire;

pub use bare::{Depth, serve as serve_bare};
pub use connections::{Waited, waiting_polls};
pub use growth::{Holding, Store, Waiting};
pub use load::{Load, Step};
pub use measure::{Figures, measure};
pub use pairs::{Effort, Score, score};
pub use server::{COUNTER, SERVER_CORES, SERVER_COUNTER, Server};
pub use targets::{Against, GROWTH, Measure, POLL_BYTES, POLLS_WORK, Placement, targets};
