//! The broker's behaviour, one at a time, in virtual time.

mod messages;
mod scenario;
