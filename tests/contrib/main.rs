//! The files in `contrib` fit the code: what they measure exists, and what they wait for ends in time.

#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod alerts;
mod dashboard;
mod queries;
mod units;

use std::path::{Path, PathBuf};

/// The path of a file in `contrib`.
fn contrib(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib").join(file).canonicalize().unwrap()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(contrib(file)).unwrap()
}
