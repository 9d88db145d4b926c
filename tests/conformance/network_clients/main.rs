//! The adapters' clients of servers: responses and notices that arrive in pieces, and the number of
//! requests sent.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod http;
mod request_counts;
mod split_notices;
mod split_responses;
