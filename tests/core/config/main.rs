//! Configuration: the source of each part, what is refused, and that no secret is shown.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod addresses;
mod custom_backends;
mod generated;
mod iron_sources;
mod keyset;
mod memory;
mod notifier;
mod numbers;
mod password;
mod queue_urls;
mod redis_queue;
mod secrets;
mod support;
mod weaker_sources;
