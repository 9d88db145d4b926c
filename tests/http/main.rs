//! The IronMQ dialect: exact requests, and what becomes of good, bad and damaged answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod damaged;
mod effects;
mod entries;
mod generated;
mod recorded;
mod requests;
mod shapes;
mod statuses;
mod support;
