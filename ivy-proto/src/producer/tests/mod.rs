//! Scenarios of the producer's behaviour.

mod batches;
mod drain;
mod encryption;
mod faults;
mod laws;
mod messages;
mod metrics;
mod results;
mod scenario;
mod subscription;
