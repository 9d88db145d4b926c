//! The simulator's models of servers.
//!
//! They are a library for the sake of the tests that compare them with the real servers.

pub mod redis;
pub mod wire;
