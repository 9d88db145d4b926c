//! Reaches servers: the executors of the backends that are machines without IO, once for all of them
//! and for all runtimes.

mod executor;
mod link;
mod session;
#[cfg(test)]
mod tests;
mod unread;

pub(crate) use session::{SessionBackend, SessionQueue};
