//! Scenarios of the producer's behaviour.

mod backlog;
mod batches;
mod chosen_ids;
mod drain;
mod encryption;
mod faults;
mod laws;
mod limits;
mod messages;
mod metrics;
mod results;
mod scenario;
mod subscription;
