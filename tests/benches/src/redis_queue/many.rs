//! Many calls with their results, everything on one Redis and in one program.

use crate::calls::{Results, Urls, program_with};
use crate::load::Load;
use crate::server::Server;

const CONCURRENCY: usize = 800;
/// Each handler has a thread, and there is one core.
const THREADS: usize = 4;

/// This many calls together, with a handle for each.
pub(super) fn call_many(adapter: &str, calls: u64) -> Option<Load> {
    load(Results::Handles, adapter, calls)
}

/// A stream of this many calls.
pub(super) fn call_stream(adapter: &str, calls: u64) -> Option<Load> {
    load(Results::Stream, adapter, calls)
}

fn load(results: Results, adapter: &str, calls: u64) -> Option<Load> {
    let redis = Server::redis();
    let urls = Urls { queue: &redis.redis_url(), notifier: None };
    let concurrency = if adapter == "blocking" { THREADS } else { CONCURRENCY };
    let mut call = program_with(results, adapter, urls, concurrency, |n| n * 2)?;
    let step = move || {
        call(calls);
        calls
    };
    Some(Load { servers: vec![redis], ..Load::of(step) })
}
