//! Scenarios of the worker's behaviour.

mod backends;
mod backlog;
mod clock;
mod coalescing;
mod dead_letters;
mod deletes;
mod draining;
mod encryption;
mod interrupted;
mod lateness;
mod laws;
mod leases;
mod lifecycle;
mod metrics;
mod nested_waits;
mod not_run;
mod notices;
mod polling;
mod postponing;
mod presence;
mod rejecting;
mod retries;
mod scenario;
mod shares;
mod stuck;
mod with_broker;
