//! Invalid configurations are refused by the builder, and errors contain no secret. Shared by all
//! adapters.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod adapter;
#[path = "../../tests/shared_by_adapters/configuration.rs"]
mod configuration;
