//! What a producer does, one behaviour at a time.

mod batches;
mod drain;
mod encryption;
mod faults;
mod laws;
mod messages;
mod results;
mod scenario;
mod subscription;
