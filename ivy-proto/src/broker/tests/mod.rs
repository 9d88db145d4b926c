//! The broker's behaviour, one at a time, in virtual time.

mod agreement;
mod dead_letters;
mod messages;
mod queues;
mod reference;
mod refusals;
mod scenario;
mod waiting;
