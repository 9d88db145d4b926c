//! How much memory a load takes while it goes on.

use std::process::{Command, Stdio};

use crate::cpu::resident;
use crate::load::Load;
use crate::server::program;

/// Runs a load in a process of its own, and gives the memory that the process has after so many
/// operations each, in bytes.
///
/// # Panics
/// If the run fails.
#[must_use]
pub fn after(load: &str, operations: &[u64]) -> Vec<u64> {
    let output = Command::new(program("bench"))
        .args(["resident", load])
        .args(operations.iter().map(u64::to_string))
        .stderr(Stdio::inherit())
        .output()
        .expect("this program runs");
    assert!(output.status.success(), "the run of {load} failed: {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_whitespace().map(|bytes| bytes.parse().expect("a number")).collect()
}

/// Runs a load, and gives the memory that this process has after so many operations each.
pub fn figures<'a>(load: &'a mut Load, operations: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
    let mut done = 0;
    operations.iter().map(move |goal| {
        while done < *goal {
            done += (load.step)().operations;
        }
        resident("self")
    })
}
