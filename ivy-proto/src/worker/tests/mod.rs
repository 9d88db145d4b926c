//! The worker's behaviour, one scenario each.

mod acks;
mod backends;
mod clock;
mod dead_letters;
mod draining;
mod encryption;
mod gathering;
mod interrupted;
mod lateness;
mod laws;
mod leases;
mod not_run;
mod notices;
mod polling;
mod retries;
mod scenario;
mod shares;
mod stuck;
mod undecided;
mod waits;
mod with_broker;
