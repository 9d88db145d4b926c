//! The functions that the fuzz targets run, shared with the ordinary tests in `ivy-core-tests`.

#[path = "../../tests/core/src/fuzz/mod.rs"]
mod targets;

pub use targets::*;
