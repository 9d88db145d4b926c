//! The simulator's models of servers.
//!
//! They are a library so that tests can compare them with the real servers.

pub mod redis;
pub mod wire;
