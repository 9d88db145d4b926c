//! How much memory a load takes while it goes on.

use crate::cpu::resident;
use crate::load::Load;

/// Runs a load, and gives the memory that this process has after so many operations each.
pub fn figures<'a>(load: &'a mut Load, operations: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
    let mut done = 0;
    operations.iter().map(move |goal| {
        while done < *goal {
            done += (load.step)().operations;
        }
        resident("self")
    })
}
