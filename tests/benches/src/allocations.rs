//! Counts allocations. A program of its own, because counting them costs time.
#![allow(clippy::print_stdout)]

use allocation_counter::measure;
use ivy_benches::{Load, LoadedWorker, Store, WaitingProducer};

/// How many are stored to measure the memory of one.
const MANY: usize = 10_000;

fn main() {
    println!("| load | allocations for an operation | bytes allocated |");
    println!("|---|---|---|");
    for name in std::env::args().skip(1) {
        let Some(mut load) = Load::find(&name) else {
            eprintln!("unknown load {name}");
            continue;
        };
        // One-time allocations, such as room in a table, are not counted.
        for _ in 0..3 {
            (load.step)();
        }
        let mut operations = 0;
        let allocations = measure(|| {
            for _ in 0..10 {
                operations += (load.step)().operations;
            }
        });
        let per = |total: u64| total as f64 / operations as f64;
        println!(
            "| {name} | {:.1} | {:.0} |",
            per(allocations.count_total),
            per(allocations.bytes_total)
        );
    }
    println!();
    println!("| what is stored | bytes for each |");
    println!("|---|---|");
    print_retained("a queued message of 84 B in the broker", || drop_later(Store::with(MANY)));
    print_retained("an awaited result", || drop_later(WaitingProducer::with(MANY)));
    print_retained("a held message of 84 B in the worker", || {
        let mut worker = LoadedWorker::with(1, MANY);
        worker.take(MANY, false);
        drop_later(worker);
    });
}

/// Prints what is still allocated after `make`, which stores `MANY` of something.
fn print_retained(what: &str, make: impl FnOnce()) {
    let bytes = measure(make).bytes_current;
    println!("| {what} | {} |", bytes / MANY as i64);
}

fn drop_later<T>(value: T) {
    std::mem::forget(value);
}
