//! A queue on a real Redis server: what only such a queue can show, beside the contract of all queues.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod counts;
mod keys;
mod permissions;
mod servers;
mod support;
