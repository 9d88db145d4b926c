//! The commands for operators, over every backend that is built in.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod backend;
mod calls;
mod changes;
mod contents;
mod doctor;
mod exporter;
mod failures;
mod foreign;
mod golden;
mod imports;
mod interruptions;
mod leases;
mod letters;
mod listings;
mod program;
mod sweeps;
#[cfg(unix)]
mod watching;
mod workers;
