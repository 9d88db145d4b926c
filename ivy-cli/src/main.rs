//! The `ivy` program.

fn main() {}
