//! The simulator's models of servers.
//!
//! They are a library so that tests can compare them with the real servers.

#[cfg(ivy_planted)]
pub mod planted;
#[cfg(not(ivy_planted))]
mod planted;
pub mod redis;
pub mod wire;
