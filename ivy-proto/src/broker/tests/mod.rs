//! Tests of the broker in virtual time.

mod agreement;
mod backend;
mod dead_letters;
mod freshness;
mod laws;
mod messages;
mod queues;
mod reference;
mod refusals;
mod scenario;
mod waiting;
