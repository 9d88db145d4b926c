//! What cannot work is told when it is made, and shows no secret.
//! Written once for all adapters.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod adapter;
#[path = "../../tests/adapters/configuration.rs"]
mod configuration;
