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

/// Operations and answers that the tests share, also with the fuzz targets.
mod support {
    pub(crate) use ivy_core_tests::fuzz::dialect::*;
}
