//! What the fuzz targets run: the part of `ivy-core-tests` that they share with the ordinary tests.

#[path = "../../tests/core/src/fuzz/mod.rs"]
mod targets;

pub use targets::*;
