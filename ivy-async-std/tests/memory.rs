//! Producer and worker over the memory backend, as an application uses them. Shared by all
//! adapters, and by those whose methods are futures.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod adapter;
#[path = "../../tests/shared_by_adapters/futures/tests.rs"]
mod futures;
#[path = "../../tests/shared_by_adapters/memory/mod.rs"]
mod memory;
#[path = "../../tests/shared_by_adapters/futures/receiving.rs"]
mod receiving;
#[path = "adapter/time.rs"]
mod time;
