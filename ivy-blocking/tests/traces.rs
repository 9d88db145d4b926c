//! Traces in OpenTelemetry. Shared by all adapters.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]
#![allow(clippy::unit_arg, reason = "the methods of other adapters are awaited; these return `()`")]

mod adapter;
#[path = "../../tests/shared_by_adapters/traces/mod.rs"]
mod traces;
