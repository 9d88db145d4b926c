//! The log: spans with the task's fields, and events at the right level. Shared by all adapters.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod adapter;
#[path = "../../tests/shared_by_adapters/log.rs"]
mod log;
