//! Sweeps over the broker.

mod failures;
mod interrupting;
mod live;
mod looking;
mod requeueing;
mod scenario;
