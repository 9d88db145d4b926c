//! Producer and worker over the memory backend, as an application uses them.
//! Written once for all adapters, and for those whose methods are futures.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adapter;
#[path = "../../tests/adapters/futures/tests.rs"]
mod futures;
#[path = "../../tests/adapters/memory/mod.rs"]
mod memory;
#[path = "../../tests/adapters/futures/receiving.rs"]
mod receiving;
#[path = "adapter/time.rs"]
mod time;
