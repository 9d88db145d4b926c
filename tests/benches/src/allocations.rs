//! Counts allocations: a program of its own, since to count them costs time.
#![allow(clippy::print_stdout)]

use allocation_counter::measure;
use ivy_benches::{Holding, Load, Store, Waiting};

/// As many as are kept to see what one of them takes.
const MANY: usize = 10_000;

fn main() {
    println!("| load | allocations for an operation | bytes allocated |");
    println!("|---|---|---|");
    for name in std::env::args().skip(1) {
        let Some(mut load) = Load::find(&name) else {
            eprintln!("there is no load {name}");
            continue;
        };
        // What is kept at first, such as room in a table, is not counted.
        for _ in 0..3 {
            (load.step)();
        }
        let mut operations = 0;
        let counted = measure(|| {
            for _ in 0..10 {
                operations += (load.step)().operations;
            }
        });
        let per = |total: u64| total as f64 / operations as f64;
        println!("| {name} | {:.1} | {:.0} |", per(counted.count_total), per(counted.bytes_total));
    }
    println!();
    println!("| what is kept | bytes for each |");
    println!("|---|---|");
    kept("a queued message of 84 B in the broker", || drop_later(Store::with(MANY)));
    kept("a result that is waited for", || drop_later(Waiting::with(MANY)));
    kept("a held message of 84 B in the worker", || {
        let mut holding = Holding::with(1, MANY);
        holding.take(MANY, false);
        drop_later(holding);
    });
}

/// Prints what is still allocated after `make`, which keeps `MANY` of something.
fn kept(what: &str, make: impl FnOnce()) {
    let bytes = measure(make).bytes_current;
    println!("| {what} | {} |", bytes / MANY as i64);
}

fn drop_later<T>(value: T) {
    std::mem::forget(value);
}
