//! The loads that can be measured, by name: `machines/ivy/1000`, `broker/cycle/1000000`.

use std::time::{Duration, Instant};

use crate::server::{Process, Server};
use crate::{
    adapters, codec, connections, frames, growth, machines, peers, redis_queue, result_delivery,
    round_trip, sending, serve, working,
};

/// Work that is repeated as often as it is measured.
pub struct Load {
    /// Runs a step of it.
    pub step: Box<dyn FnMut() -> Step>,
    /// The servers that do a part of the work.
    pub servers: Vec<Server>,
    /// The programs that do the work instead of this process.
    pub peers: Vec<Process>,
}

impl Load {
    /// The load with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Load> {
        match name.split('/').collect::<Vec<_>>()[..] {
            ["codec", "ivy", size] => codec::ivy_codec(size),
            ["codec", "baseline", size] => codec::baseline_codec(size),
            ["arguments", "floats", digits] => codec::float_arguments(digits),
            ["seal", who, frame, size] => frames::seal(who, frame, size),
            ["open", who, frame, size] => frames::open(who, frame, size),
            ["machines", "ivy", outstanding] => Some(machines::ivy(outstanding.parse().ok()?)),
            ["machines", "baseline"] => Some(machines::baseline()),
            ["broker", "cycle", depth] => Some(growth::broker_cycle(depth.parse().ok()?)),
            ["broker", "touch", depth] => Some(growth::broker_touch(depth.parse().ok()?)),
            ["broker", "bare-cycle", depth] => Some(growth::bare_cycle(depth.parse().ok()?)),
            ["broker", "bare-touch", depth] => Some(growth::bare_touch(depth.parse().ok()?)),
            ["memory", "ivy", adapter, outstanding] => {
                adapters::ivy(adapter, outstanding.parse().ok()?)
            }
            ["memory", "layered", "tokio", outstanding] => {
                Some(adapters::layered(outstanding.parse().ok()?))
            }
            ["memory", "baseline", adapter, outstanding] => {
                adapters::baseline(adapter, outstanding.parse().ok()?)
            }
            ["round-trip", "ivy", adapter, calls] => round_trip::ivy(adapter, calls.parse().ok()?),
            ["round-trip", "baseline", adapter] => round_trip::baseline(adapter),
            ["resumed", "ivy", adapter] => result_delivery::ivy(adapter),
            ["resumed", "baseline", adapter] => result_delivery::baseline(adapter),
            ["send", "ivy", "many"] => Some(sending::ivy_many()),
            ["send", "baseline", "many"] => Some(sending::baseline_many()),
            ["send", "ivy", "callers"] => Some(sending::ivy_callers()),
            ["send", "baseline", "callers"] => Some(sending::baseline_callers()),
            ["work", "ivy", concurrency] => Some(working::ivy(concurrency.parse().ok()?)),
            ["work", "baseline", requests] => Some(working::baseline(requests.parse().ok()?)),
            ["producer", waiting] => Some(growth::producer(waiting.parse().ok()?)),
            ["producer", "bare", waiting] => Some(growth::bare_producer(waiting.parse().ok()?)),
            ["worker", "bare", tasks] => Some(growth::bare_worker(tasks.parse().ok()?)),
            ["worker", tasks] => Some(growth::worker(tasks.parse().ok()?)),
            ["serve", "open", count] => connections::one_active(count.parse().ok()?),
            ["serve", "turns", count] => connections::all_active(count.parse().ok()?),
            ["node", what] => peers::node(what),
            ["bullmq", "call"] => Some(peers::bullmq_call()),
            ["bullmq", "drain"] => Some(peers::bullmq_drain()),
            ["bee-queue", what] => peers::bee_queue(what),
            ["apalis", what] => peers::apalis(what),
            ["redis", ref rest @ ..] => redis_queue::load(rest),
            ["serve", server, verb, count] => serve::load(server, verb, count.parse().ok()?),
            _ => None,
        }
    }

    /// A load without servers, each step of which is measured as a whole.
    pub(crate) fn of(mut step: impl FnMut() -> u64 + 'static) -> Load {
        Load::timed(move || {
            let started = Instant::now();
            let operations = step();
            Step { operations, took: started.elapsed() }
        })
    }

    /// A load without servers, each step of which reports how long it took.
    pub(crate) fn timed(step: impl FnMut() -> Step + 'static) -> Load {
        Load { step: Box::new(step), servers: Vec::new(), peers: Vec::new() }
    }

    /// The other processes that do a part of the work.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let peers = self.peers.iter().map(Process::pid);
        self.servers.iter().map(Server::pid).chain(peers).collect()
    }
}

/// A step that was run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many operations were measured.
    pub operations: u64,
    /// How long these took.
    pub took: Duration,
}

impl std::fmt::Debug for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Load").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// A load that repeats the same operation this many times in one step.
pub(crate) fn repeated(times: u64, mut work: impl FnMut() + 'static) -> Load {
    Load::of(move || {
        for _ in 0..times {
            work();
        }
        times
    })
}
