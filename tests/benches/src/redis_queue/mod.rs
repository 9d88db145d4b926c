//! Redis as a queue: sends, work, calls, one or many at a time, and single requests. By ivy, and by bare clients.

mod bare;
mod calls;
mod cycle;
mod filled;
mod many;
mod sending;
mod working;

use crate::load::Load;

/// The load of this name, less `redis`.
pub(crate) fn load(name: &[&str]) -> Option<Load> {
    match *name {
        ["send", "ivy", "many"] => Some(sending::ivy_many()),
        ["send", "ivy", "callers"] => Some(sending::ivy_callers()),
        ["send", "baseline"] => Some(sending::baseline()),
        ["work", "ivy", concurrency] => Some(working::ivy(concurrency.parse().ok()?)),
        ["work", "baseline"] => Some(working::baseline()),
        ["call", "ivy", adapter] => calls::ivy(adapter),
        ["call", "baseline", adapter] => calls::baseline(adapter),
        ["call-many", adapter, calls] => many::call_many(adapter, calls.parse().ok()?),
        ["call-stream", adapter, calls] => many::call_stream(adapter, calls.parse().ok()?),
        ["cycle", "ivy", queued] => Some(cycle::ivy(queued.parse().ok()?)),
        ["due", count] => Some(cycle::due(count.parse().ok()?)),
        ["cycle", "baseline"] => Some(cycle::baseline()),
        _ => None,
    }
}
