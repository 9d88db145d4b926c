//! The wire layer against tables of malformed input, recorded frames and generated input.
//!
//! The generated tests run 256 cases each; set `PROPTEST_CASES` for more.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod aead;
mod attempts;
mod bodies;
mod dead_letters;
mod derived_ids;
mod frames;
mod generated;
mod inputs;
mod node_decryption;
mod notices;
mod policies;
mod protocol;
mod sealed_frames;
mod secrecy;
