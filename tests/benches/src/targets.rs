//! What is compared with what, and the gates.

/// A comparison of ivy with something else.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// Its name in the tables.
    pub id: &'static str,
    /// What is done.
    pub what: &'static str,
    /// Ivy's load.
    pub ivy: &'static str,
    /// The load that it is compared with: the raw parts', or a peer's.
    pub baseline: &'static str,
    /// The gate.
    pub gate: Gate,
    /// Where client and server run.
    pub placement: Placement,
}

/// A gate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate {
    /// At least this multiple of the other's operations per second.
    Rate(f64),
    /// At least this multiple of the other's operations per second of processor time.
    WorkRate(f64),
    /// At most this multiple of the other's processor time per operation.
    Work(f64),
    /// At most these multiples of the other's median and 99th percentile.
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

type Line = (&'static str, &'static str, &'static str, &'static str, Gate, Placement);

/// All comparisons with baselines: the same work done by the underlying libraries alone.
pub fn targets() -> impl Iterator<Item = Measure> {
    measures(BASELINES)
}

/// All comparisons with peers: other programs with the same purpose.
pub fn peer_comparisons() -> impl Iterator<Item = Measure> {
    measures(PEERS)
}

fn measures(lines: &'static [Line]) -> impl Iterator<Item = Measure> {
    lines.iter().map(|&(id, what, ivy, baseline, gate, placement)| Measure {
        id,
        what,
        ivy,
        baseline,
        gate,
        placement,
    })
}

use Gate::{Latency, Rate, Work, WorkRate};
use Placement::{Alone, Same, Split};

#[rustfmt::skip] // A table is read by its columns.
const BASELINES: &[Line] = &[
    ("C1", "parse and write, 84 B", "codec/ivy/small", "codec/baseline/small", Work(1.5), Alone),
    ("C1", "parse and write, 60 KB", "codec/ivy/objects", "codec/baseline/objects", Work(1.2), Alone),
    ("C2", "seal legacy, 84 B", "seal/ivy/legacy/small", "seal/baseline/legacy/small", Work(2.0), Alone),
    ("C2", "open legacy, 84 B", "open/ivy/legacy/small", "open/baseline/legacy/small", Work(2.0), Alone),
    ("C2", "seal legacy, 60 KB", "seal/ivy/legacy/objects", "seal/baseline/legacy/objects", Work(1.2), Alone),
    ("C2", "open legacy, 60 KB", "open/ivy/legacy/objects", "open/baseline/legacy/objects", Work(1.2), Alone),
    ("C2", "seal bridge, 84 B", "seal/ivy/bridge/small", "seal/baseline/bridge/small", Work(2.0), Alone),
    ("C2", "open bridge, 84 B", "open/ivy/bridge/small", "open/baseline/bridge/small", Work(2.0), Alone),
    ("C2", "seal bridge, 60 KB", "seal/ivy/bridge/objects", "seal/baseline/bridge/objects", Work(1.2), Alone),
    ("C2", "open bridge, 60 KB", "open/ivy/bridge/objects", "open/baseline/bridge/objects", Work(1.2), Alone),
    ("C2", "seal ivy2, 84 B", "seal/ivy/ivy2/small", "seal/baseline/ivy2/small", Work(2.0), Alone),
    ("C2", "open ivy2, 84 B", "open/ivy/ivy2/small", "open/baseline/ivy2/small", Work(2.0), Alone),
    ("C2", "seal ivy2, 60 KB", "seal/ivy/ivy2/objects", "seal/baseline/ivy2/objects", Work(1.2), Alone),
    ("C2", "open ivy2, 60 KB", "open/ivy/ivy2/objects", "open/baseline/ivy2/objects", Work(1.2), Alone),
    ("M3", "the machines, 1,000 calls at a time", "machines/ivy/1000", "machines/baseline", Work(2.0), Alone),
    ("M3", "the machines, 1 call at a time", "machines/ivy/1", "machines/baseline", Work(2.0), Alone),
    ("M1", "memory, 1,000 calls at a time, tokio", "memory/ivy/tokio/1000", "memory/baseline/tokio/1000", Work(2.5), Alone),
    ("M1", "memory, 1,000 calls at a time, async-std", "memory/ivy/async-std/1000", "memory/baseline/async-std/1000", Work(2.5), Alone),
    ("M1", "memory, 1,000 calls at a time, blocking", "memory/ivy/blocking/1000", "memory/baseline/blocking/1000", Work(2.5), Alone),
    ("S2", "memory, async-std against tokio", "memory/ivy/async-std/1000", "memory/ivy/tokio/1000", Work(1.67), Alone),
    ("S2", "memory, blocking against tokio", "memory/ivy/blocking/1000", "memory/ivy/tokio/1000", Work(1.67), Alone),
    ("S2", "ivy serve and Redis, async-std against tokio", "round-trip/ivy/async-std/1000", "round-trip/ivy/tokio/1000", Work(1.67), Same),
    ("S2", "ivy serve and Redis, blocking against tokio", "round-trip/ivy/blocking/1000", "round-trip/ivy/tokio/1000", Work(1.67), Same),
    ("M2", "memory, 1 call at a time, tokio", "memory/ivy/tokio/1", "memory/baseline/tokio/1", Latency(5.0, 5.0), Same),
    ("M2", "memory, 1 call at a time, blocking", "memory/ivy/blocking/1", "memory/baseline/blocking/1", Latency(1.5, 1.5), Same),
    ("RT", "call to result over ivy serve and Redis, tokio", "round-trip/ivy/tokio/1", "round-trip/baseline/tokio", Latency(1.6, 2.0), Same),
    ("RT", "call to result over ivy serve and Redis, async-std", "round-trip/ivy/async-std/1", "round-trip/baseline/async-std", Latency(1.6, 2.0), Same),
    ("RT", "call to result over ivy serve and Redis, blocking", "round-trip/ivy/blocking/1", "round-trip/baseline/blocking", Latency(1.6, 2.0), Same),
    ("R8", "result published to caller resumed, Redis, tokio", "resumed/ivy/tokio", "resumed/baseline/tokio", Latency(1.4, 2.0), Same),
    ("R8", "result published to caller resumed, Redis, async-std", "resumed/ivy/async-std", "resumed/baseline/async-std", Latency(1.4, 2.0), Same),
    ("R8", "result published to caller resumed, Redis, blocking", "resumed/ivy/blocking", "resumed/baseline/blocking", Latency(1.4, 2.0), Same),
    ("I1", "10,000 sends at a time, server that only responds", "send/ivy/many", "send/baseline/many", Rate(0.3), Split),
    ("I2", "64 callers with single sends, ivy serve", "send/ivy/callers", "send/baseline/callers", Rate(0.5), Split),
    ("I3", "no-op tasks run, 100 a request", "work/ivy/800", "work/baseline/8", Rate(0.3), Split),
    ("Q1", "Redis: 10,000 calls passed together", "redis/send/ivy/many", "redis/send/baseline", Rate(0.4), Split),
    ("Q1", "Redis: 64 callers with single sends", "redis/send/ivy/callers", "redis/send/baseline", Rate(0.4), Split),
    ("Q2", "Redis: no-op tasks with results, 10,000 waiting", "redis/work/ivy/800", "redis/work/baseline", Rate(0.5), Split),
    ("Q3", "Redis: call to result, tokio", "redis/call/ivy/tokio", "redis/call/baseline/tokio", Latency(1.5, 2.0), Same),
    ("Q3", "Redis: call to result, async-std", "redis/call/ivy/async-std", "redis/call/baseline/async-std", Latency(1.5, 2.0), Same),
    ("Q3", "Redis: call to result, blocking", "redis/call/ivy/blocking", "redis/call/baseline/blocking", Latency(1.5, 2.0), Same),
    ("Q4", "Redis: a stream of 10,000 calls against call_many, tokio", "redis/call-stream/tokio/10000", "redis/call-many/tokio/10000", Rate(0.9), Split),
    ("Q4", "Redis: a stream of 10,000 calls against call_many, async-std", "redis/call-stream/async-std/10000", "redis/call-many/async-std/10000", Rate(0.9), Split),
    ("Q4", "Redis: a stream of 10,000 calls against call_many, blocking", "redis/call-stream/blocking/10000", "redis/call-many/blocking/10000", Rate(0.9), Split),
    ("S3", "post 1", "serve/ivy/post/1", "serve/bytes/post/1", Rate(0.6), Same),
    ("S3", "post 100", "serve/ivy/post/100", "serve/bytes/post/100", Rate(0.6), Same),
    ("S3", "post 100, with JSON", "serve/ivy/post/100", "serve/json/post/100", Rate(0.6), Same),
    ("S3", "reserve 100", "serve/ivy/reserve/100", "serve/bytes/reserve/100", Rate(0.6), Same),
    ("S3", "reserve 100, with JSON", "serve/ivy/reserve/100", "serve/json/reserve/100", Rate(0.6), Same),
    ("S3", "delete 100", "serve/ivy/delete/100", "serve/bytes/delete/100", Rate(0.6), Same),
    ("S3", "delete 100, with JSON", "serve/ivy/delete/100", "serve/json/delete/100", Rate(0.6), Same),
];

#[rustfmt::skip]
const PEERS: &[Line] = &[
    ("I1", "sends over HTTP, server that only responds", "send/ivy/many", "node/send", Rate(100.0), Split),
    ("I3", "no-op tasks run over HTTP", "work/ivy/800", "node/work", Rate(30.0), Split),
    ("M1", "memory, 1,000 calls at a time, tokio", "memory/ivy/tokio/1000", "node/memory", WorkRate(6.0), Alone),
    ("M1", "memory, 1,000 calls at a time, async-std", "memory/ivy/async-std/1000", "node/memory", WorkRate(6.0), Alone),
    ("M1", "memory, 1,000 calls at a time, blocking", "memory/ivy/blocking/1000", "node/memory", WorkRate(6.0), Alone),
    ("C2", "seal, 84 B, the Node package's frame", "seal/ivy/legacy/small", "node/seal", WorkRate(15.0), Alone),
    ("C2", "open, 84 B, the Node package's frame", "open/ivy/legacy/small", "node/open", WorkRate(15.0), Alone),
    ("C2", "seal bridge, 84 B, against the Node package's frame", "seal/ivy/bridge/small", "node/seal", WorkRate(15.0), Alone),
    ("C2", "open bridge, 84 B, against the Node package's frame", "open/ivy/bridge/small", "node/open", WorkRate(15.0), Alone),
    ("C2", "seal ivy2, 84 B, against the Node package's frame", "seal/ivy/ivy2/small", "node/seal", WorkRate(15.0), Alone),
    ("C2", "open ivy2, 84 B, against the Node package's frame", "open/ivy/ivy2/small", "node/open", WorkRate(15.0), Alone),
    ("Q1", "Redis: 10,000 calls passed together, against apalis", "redis/send/ivy/many", "apalis/send", Rate(4.0), Split),
    ("Q1", "Redis: 10,000 calls passed together, against Bee-Queue", "redis/send/ivy/many", "bee-queue/send", Rate(4.0), Split),
    ("Q2", "Redis: no-op tasks run, against BullMQ", "redis/work/ivy/800", "bullmq/drain", Rate(10.0), Split),
    ("Q2", "Redis: no-op tasks run, against Bee-Queue", "redis/work/ivy/800", "bee-queue/work", Rate(3.0), Split),
    ("Q2", "Redis: no-op tasks run, against apalis", "redis/work/ivy/800", "apalis/work", Rate(10.0), Split),
    ("Q3", "Redis: call to result, against Bee-Queue", "redis/call/ivy/tokio", "bee-queue/call", Latency(0.55, 0.55), Same),
    ("RT", "call to result, against BullMQ with Redis", "round-trip/ivy/tokio/1", "bullmq/call", Latency(0.3, 0.3), Same),
];

/// Work that must not cost more among many of something.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    /// What is done, and among how many of what.
    pub what: &'static str,
    /// The load among few, which is the reference.
    pub few: &'static str,
    /// The load among many, without the number.
    pub load: &'static str,
    /// The numbers.
    pub counts: &'static [u32],
}

/// The maximum cost among many, as a multiple of the cost among few.
pub const GROWTH_GATE: f64 = 1.3;

/// Everything that there can be many of.
#[rustfmt::skip]
pub const GROWTH: &[Growth] = &[
    Growth { what: "a message through the broker, this many queued", few: "broker/cycle/100", load: "broker/cycle", counts: &[1, 10_000, 100_000, 1_000_000] },
    Growth { what: "the same bytes in a bare queue, this many queued", few: "broker/bare-cycle/100", load: "broker/bare-cycle", counts: &[1, 10_000, 100_000, 1_000_000] },
    Growth { what: "a touch in the broker, this many held", few: "broker/touch/100", load: "broker/touch", counts: &[10_000, 100_000, 1_000_000] },
    Growth { what: "the same bytes in bare queues, this many held", few: "broker/bare-touch/100", load: "broker/bare-touch", counts: &[10_000, 100_000, 1_000_000] },
    Growth { what: "a message over ivy serve, this many connections open", few: "serve/open/1", load: "serve/open", counts: &[100, 2_000] },
    Growth { what: "a message over ivy serve, this many connections in turn", few: "serve/open/1", load: "serve/turns", counts: &[100, 2_000] },
    Growth { what: "a message through Redis, this many queued", few: "redis/cycle/ivy/100", load: "redis/cycle/ivy", counts: &[10_000, 1_000_000] },
    Growth { what: "a delayed message through Redis, this many due", few: "redis/due/100", load: "redis/due", counts: &[10_000, 100_000] },
    Growth { what: "a call with its result, this many waiting", few: "producer/100", load: "producer", counts: &[1, 1_000, 10_000, 100_000] },
    Growth { what: "the same bytes in a bare map, this many waiting", few: "producer/bare/100", load: "producer/bare", counts: &[1, 1_000, 10_000, 100_000] },
    Growth { what: "a message through the worker, this many tasks", few: "worker/100", load: "worker", counts: &[1, 1_000, 10_000] },
    Growth { what: "the same bytes in a bare map, this many tasks", few: "worker/bare/100", load: "worker/bare", counts: &[1, 1_000, 10_000] },
];

/// The maximum memory of a waiting long poll, in bytes.
pub const POLL_BYTES: f64 = 10_240.0;
/// The maximum processor time of all waiting long polls, as a part of a core. Zero could not be
/// distinguished with the system's clock.
pub const POLLS_WORK: f64 = 0.01;
