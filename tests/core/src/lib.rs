//! What the tests of the core share: the fuzz targets, their seeds, and recorded bytes.
//!
//! It depends only on the core and the backends, as do the tests next to it.

pub mod fuzz;
pub mod recorded;
mod seeds;

pub use seeds::check_seeds;
