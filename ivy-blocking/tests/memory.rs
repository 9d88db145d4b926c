//! Producer and worker over the memory backend, as an application uses them.
//! Written once for all adapters; `threads` is what only this one shows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::unit_arg, reason = "what other adapters wait for has ended here, with nothing")]

mod adapter;
#[path = "../../tests/adapters/memory/mod.rs"]
mod memory;
#[path = "adapter/receiving.rs"]
mod receiving;
#[path = "memory/threads.rs"]
mod threads;
#[path = "adapter/time.rs"]
mod time;
