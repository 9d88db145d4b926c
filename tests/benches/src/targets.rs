//! What is compared with what, and how much is enough.

/// A comparison of ivy with a limit.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name in the tables.
    pub id: &'static str,
    /// What is done.
    pub what: &'static str,
    /// Ivy's load.
    pub ivy: &'static str,
    /// The raw parts' load.
    pub limit: &'static str,
    /// What must be held.
    pub against: Against,
    /// Where client and server run.
    pub placement: Placement,
}

/// What must be held.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Against {
    /// At least this part of the limit's operations in a second.
    Rate(f64),
    /// At most so many times the work that an operation is at the limit.
    Work(f64),
    /// At most so many times the limit's median and 99th percentile.
    Latency(f64, f64),
}

/// Where client and server run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// There is one process, on one core.
    Alone,
    /// Both are on one core, so that no wake-up crosses from one to the other.
    Same,
    /// Each has a core of its own.
    Split,
}

type Line = (&'static str, &'static str, &'static str, &'static str, Against, Placement);

/// All comparisons.
pub fn targets() -> impl Iterator<Item = Measure> {
    LINES.iter().map(|&(id, what, ivy, limit, against, placement)| Measure {
        id,
        what,
        ivy,
        limit,
        against,
        placement,
    })
}

use Against::{Latency, Rate, Work};
use Placement::{Alone, Same, Split};

#[rustfmt::skip] // A table is read by its columns.
const LINES: &[Line] = &[
    ("C1", "parse and write, 84 B", "codec/ivy/small", "codec/limit/small", Work(1.5), Alone),
    ("C1", "parse and write, 60 KB", "codec/ivy/objects", "codec/limit/objects", Work(1.2), Alone),
    ("C2", "seal legacy, 84 B", "seal/ivy/legacy/small", "seal/limit/legacy/small", Work(2.0), Alone),
    ("C2", "open legacy, 84 B", "open/ivy/legacy/small", "open/limit/legacy/small", Work(2.0), Alone),
    ("C2", "seal legacy, 60 KB", "seal/ivy/legacy/objects", "seal/limit/legacy/objects", Work(1.2), Alone),
    ("C2", "open legacy, 60 KB", "open/ivy/legacy/objects", "open/limit/legacy/objects", Work(1.2), Alone),
    ("C2", "seal bridge, 84 B", "seal/ivy/bridge/small", "seal/limit/bridge/small", Work(2.0), Alone),
    ("C2", "open bridge, 84 B", "open/ivy/bridge/small", "open/limit/bridge/small", Work(2.0), Alone),
    ("C2", "seal bridge, 60 KB", "seal/ivy/bridge/objects", "seal/limit/bridge/objects", Work(1.2), Alone),
    ("C2", "open bridge, 60 KB", "open/ivy/bridge/objects", "open/limit/bridge/objects", Work(1.2), Alone),
    ("C2", "seal ivy2, 84 B", "seal/ivy/ivy2/small", "seal/limit/ivy2/small", Work(2.0), Alone),
    ("C2", "open ivy2, 84 B", "open/ivy/ivy2/small", "open/limit/ivy2/small", Work(2.0), Alone),
    ("C2", "seal ivy2, 60 KB", "seal/ivy/ivy2/objects", "seal/limit/ivy2/objects", Work(1.2), Alone),
    ("C2", "open ivy2, 60 KB", "open/ivy/ivy2/objects", "open/limit/ivy2/objects", Work(1.2), Alone),
    ("M3", "the machines, 1,000 calls at a time", "machines/ivy/1000", "machines/limit", Work(2.0), Alone),
    ("M3", "the machines, 1 call at a time", "machines/ivy/1", "machines/limit", Work(2.0), Alone),
    ("M1", "memory, 1,000 calls at a time, tokio", "memory/ivy/tokio/1000", "memory/limit/tokio/1000", Work(2.5), Alone),
    ("M1", "memory, 1,000 calls at a time, async-std", "memory/ivy/async-std/1000", "memory/limit/async-std/1000", Work(2.5), Alone),
    ("M1", "memory, 1,000 calls at a time, blocking", "memory/ivy/blocking/1000", "memory/limit/blocking/1000", Work(2.5), Alone),
    ("S2", "memory, async-std beside tokio", "memory/ivy/async-std/1000", "memory/ivy/tokio/1000", Work(1.67), Alone),
    ("S2", "memory, blocking beside tokio", "memory/ivy/blocking/1000", "memory/ivy/tokio/1000", Work(1.67), Alone),
    ("M2", "memory, 1 call at a time, tokio", "memory/ivy/tokio/1", "memory/limit/tokio/1", Latency(5.0, 5.0), Same),
    ("M2", "memory, 1 call at a time, blocking", "memory/ivy/blocking/1", "memory/limit/blocking/1", Latency(1.5, 1.5), Same),
    ("RT", "call to result over ivy serve and Redis, tokio", "round-trip/ivy", "round-trip/limit", Latency(1.6, 2.0), Same),
    ("R8", "result published to caller resumed, Redis, tokio", "resumed/ivy/tokio", "resumed/limit/tokio", Latency(1.4, 2.0), Same),
    ("R8", "result published to caller resumed, Redis, blocking", "resumed/ivy/blocking", "resumed/limit/blocking", Latency(1.4, 2.0), Same),
    ("I1", "10,000 sends at a time, server that only answers", "send/ivy/many", "send/limit/many", Rate(0.3), Split),
    ("I2", "64 callers with single sends, ivy serve", "send/ivy/callers", "send/limit/callers", Rate(0.5), Split),
    ("I3", "no-op tasks worked off, 100 a request", "work/ivy/800", "work/limit/8", Rate(0.3), Split),
    ("S3", "post 1", "serve/ivy/post/1", "serve/bytes/post/1", Rate(0.6), Same),
    ("S3", "post 100", "serve/ivy/post/100", "serve/bytes/post/100", Rate(0.6), Same),
    ("S3", "post 100, with JSON", "serve/ivy/post/100", "serve/json/post/100", Rate(0.6), Same),
    ("S3", "reserve 100", "serve/ivy/reserve/100", "serve/bytes/reserve/100", Rate(0.6), Same),
    ("S3", "reserve 100, with JSON", "serve/ivy/reserve/100", "serve/json/reserve/100", Rate(0.6), Same),
    ("S3", "delete 100", "serve/ivy/delete/100", "serve/bytes/delete/100", Rate(0.6), Same),
    ("S3", "delete 100, with JSON", "serve/ivy/delete/100", "serve/json/delete/100", Rate(0.6), Same),
];

/// What must not cost more where there are many of something: the loads among few and among many,
/// and how many times the work of the first the second may be.
#[rustfmt::skip]
pub const GROWTH: &[(&str, &str, &str, f64)] = &[
    ("a message through the broker, 1 or 1,000,000 queued", "broker/cycle/1", "broker/cycle/1000000", 1.3),
    ("the same bytes in a bare line, 1 or 1,000,000 queued", "broker/bare-cycle/1", "broker/bare-cycle/1000000", 1.3),
    ("a touch in the broker, 100 or 1,000,000 held", "broker/touch/100", "broker/touch/1000000", 1.3),
    ("the same bytes in bare lines, 100 or 1,000,000 held", "broker/bare-touch/100", "broker/bare-touch/1000000", 1.3),
    ("a message over ivy serve, 1 or 2,000 connections open", "serve/open/1", "serve/open/2000", 1.3),
    ("a message over ivy serve, 1 or 2,000 connections in turn", "serve/open/1", "serve/turns/2000", 1.3),
    ("a call with its result, 1 or 100,000 waiting", "producer/1", "producer/100000", 1.3),
    ("a message through the worker, 1 or 10,000 tasks", "worker/1", "worker/10000", 1.3),
];

/// Below how many bytes a long poll that waits must stay.
pub const POLL_BYTES: f64 = 10_240.0;
/// Below which part of a core the work for all that wait must stay. Nothing at all would be less than
/// the system's clock can tell.
pub const POLLS_WORK: f64 = 0.01;
