//! Probes and scrapers of a worker. Shared by all adapters.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(clippy::unit_arg, reason = "the methods of other adapters are awaited; these return `()`")]

/// What a handler waits for.
macro_rules! received {
    ($receiver:ident) => {
        $receiver.recv_blocking()
    };
}

mod adapter;
#[path = "../../tests/shared_by_adapters/health.rs"]
mod health;
