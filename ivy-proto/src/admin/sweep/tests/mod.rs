//! Sweeps over the broker.

mod failures;
mod interrupting;
mod live;
mod requeueing;
mod reserving;
mod same_ids;
mod scenario;
