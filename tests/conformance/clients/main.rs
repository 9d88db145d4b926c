//! The adapters' clients of servers: answers and notices that come in pieces, and how many requests it
//! takes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod answers;
mod counted;
mod notices;
