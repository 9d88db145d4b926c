//! The IronMQ protocol: exact requests, and the outcome of valid, invalid and damaged responses.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod damaged;
mod effects;
mod entries;
mod generated;
mod recorded;
mod requests;
mod shapes;
mod statuses;

/// Operations and responses that the tests share, also with the fuzz targets.
mod support {
    pub(crate) use ivy_core_tests::fuzz::ironmq_operations::*;
}
