//! What the tests of the core share: the fuzz targets, what they begin with, and recorded bytes.
//!
//! It depends on the core alone, as do the tests beside it.

pub mod fuzz;
pub mod recorded;
mod seeds;

pub use seeds::check_seeds;
