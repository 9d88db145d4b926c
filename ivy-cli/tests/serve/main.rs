//! `ivy serve` as its clients see it: the program, on real sockets, byte by byte if it matters.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod access;
mod bad_requests;
mod faults;
mod http;
mod long_polls;
mod messages;
mod program;
mod push_and_alerts;
mod queues;
mod reservations;
mod server;
mod shutdown;
mod transport;
