//! The health of workers: as a value, and over HTTP.

mod address;
mod connections;
mod counters;
mod listener;
mod pages;
mod reader;

pub use address::HealthError;
pub use listener::{HealthListener, Pages, serve};

pub(crate) use address::HealthAddress;
pub(crate) use pages::WorkerPages;
pub(crate) use reader::{Answer, HealthReader, Pulse};
