//! Probes and scrapers of a worker. Shared by all adapters.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

/// What a handler waits for.
macro_rules! received {
    ($receiver:ident) => {
        $receiver.recv().await
    };
}

mod adapter;
#[path = "../../tests/shared_by_adapters/health.rs"]
mod health;
