//! The memory of a load while it runs.

use crate::cpu::resident;
use crate::load::Load;

/// Runs a load, and returns the memory of this process after each of these numbers of operations.
pub fn figures<'a>(load: &'a mut Load, operations: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
    let mut done = 0;
    operations.iter().map(move |goal| {
        while done < *goal {
            done += (load.step)().operations;
        }
        resident("self")
    })
}
