//! Traces in OpenTelemetry. Shared by all adapters.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod adapter;
#[path = "../../tests/shared_by_adapters/traces/mod.rs"]
mod traces;
