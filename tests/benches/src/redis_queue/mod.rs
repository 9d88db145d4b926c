//! Redis as a queue: sends, work, calls, and single requests. By ivy, and by bare clients.

mod bare;
mod calls;
mod cycle;
mod filled;
mod sending;
mod working;

use crate::load::Load;

/// The load of this name, less `redis`.
pub(crate) fn load(name: &[&str]) -> Option<Load> {
    match *name {
        ["send", "ivy", "many"] => Some(sending::ivy_many()),
        ["send", "ivy", "callers"] => Some(sending::ivy_callers()),
        ["send", "limit"] => Some(sending::limit()),
        ["work", "ivy", concurrency] => Some(working::ivy(concurrency.parse().ok()?)),
        ["work", "limit"] => Some(working::limit()),
        ["call", "ivy", adapter] => calls::ivy(adapter),
        ["call", "limit", adapter] => calls::limit(adapter),
        ["cycle", "ivy", queued] => Some(cycle::ivy(queued.parse().ok()?)),
        ["due", count] => Some(cycle::due(count.parse().ok()?)),
        ["cycle", "limit"] => Some(cycle::limit()),
        _ => None,
    }
}
