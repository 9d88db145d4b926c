//! The broker's behaviour, one at a time, in virtual time.

mod dead_letters;
mod messages;
mod queues;
mod refusals;
mod scenario;
mod waiting;
