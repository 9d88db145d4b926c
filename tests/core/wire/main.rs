//! The wire layer against tables of malformed input, recorded frames and generated input.
//!
//! The generated tests run 256 cases each; `PROPTEST_CASES=1000000` runs more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod aead;
mod attempts;
mod bodies;
mod frames;
mod generated;
mod inputs;
mod node;
mod notices;
mod policies;
mod protocol;
mod sealed_frames;
mod secrecy;
