//! What the fuzz targets run: the part of `ivy-tests` that they share with the ordinary tests.

#[path = "../../tests/src/fuzz/mod.rs"]
mod targets;

pub use targets::*;
