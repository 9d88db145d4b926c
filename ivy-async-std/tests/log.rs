//! What is logged: spans that name their task, and events as loud as they are important.
//! Written once for all adapters.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adapter;
#[path = "../../tests/adapters/log.rs"]
mod log;
