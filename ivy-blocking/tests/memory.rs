//! Producer and worker over the memory backend, as an application uses them. Shared by all
//! adapters; `threads` tests what is specific to this one.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(clippy::unit_arg, reason = "the methods of other adapters are awaited; these return `()`")]

mod adapter;
#[path = "../../tests/shared_by_adapters/memory/mod.rs"]
mod memory;
#[path = "adapter/receiving.rs"]
mod receiving;
#[path = "memory/threads.rs"]
mod threads;
#[path = "adapter/time.rs"]
mod time;
