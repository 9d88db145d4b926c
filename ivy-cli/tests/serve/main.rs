//! `ivy serve` as its clients see it: the program, on real sockets, byte by byte where it matters.

#![allow(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod access;
mod bad_requests;
mod ending;
mod faults;
mod http;
mod long_polls;
mod messages;
mod program;
mod push_and_alerts;
mod queues;
mod reservations;
mod server;
mod transport;
