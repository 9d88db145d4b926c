//! Measurements that are not pairs of short runs.
#![allow(clippy::print_stdout)]

use std::time::Duration;

use ivy_benches::{Figures, Placement, pinned};

/// The maximum memory of a worker, as a multiple of its baseline's.
const MEMORY_GATE: f64 = 2.0;
/// The maximum growth of memory.
const GROWTH_GATE: f64 = 1.1;
/// The latest start of a first task, in round trips without ivy.
const PAUSE_GATE: f64 = 3.0;

fn verdict(held: bool) -> &'static str {
    if held { "held" } else { "missed" }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The memory of a worker after this many tasks.
pub(crate) fn memory(tasks: &[u64]) {
    let counts: Vec<String> = tasks.iter().map(u64::to_string).collect();
    let after = |load| {
        let args: Vec<&str> =
            ["resident", load].into_iter().chain(counts.iter().map(String::as_str)).collect();
        numbers(&pinned(Placement::Split, &args))
    };
    let (ivy, baseline) = (after("work/ivy/100"), after("work/baseline/1"));
    let (Some((first, last)), Some(baseline)) = (ivy.first().zip(ivy.last()), baseline.last())
    else {
        return;
    };
    let (against, growth) = (*last as f64 / *baseline as f64, *last as f64 / *first as f64);
    println!("| # | what | ivy | against | ratio | gate | |");
    println!("|---|---|---|---|---|---|---|");
    let row = |what: &str, than: u64, ratio: f64, gate: f64| {
        let verdict = verdict(ratio <= gate);
        let (ivy, than) = (megabytes(*last), megabytes(than));
        println!("| S1 | {what} | {ivy} | {than} | {ratio:.2} | <= {gate} | {verdict} |");
    };
    row(
        &format!("worker's memory after {tasks:?} tasks, and its baseline's"),
        *baseline,
        against,
        MEMORY_GATE,
    );
    row("the same, and its own after the first", *first, growth, GROWTH_GATE);
}

/// The cost of idle workers.
pub(crate) fn idle(seconds: f64) {
    println!("| idle for {seconds} s | processor time in a second | memory |");
    println!("|---|---|---|");
    for (backend, what) in [
        ("memory", "worker, memory"),
        ("ironmq", "worker, ivy serve"),
        ("with-redis", "worker, ivy serve and Redis"),
    ] {
        let text = pinned(Placement::Same, &["idle-worker", backend, &seconds.to_string()]);
        let [nanos, bytes] = numbers(&text)[..] else {
            panic!("the run at {backend} printed no figures: {text}")
        };
        println!("| {what} | {:?} | {} |", Duration::from_nanos(nanos), megabytes(bytes));
    }
}

/// How soon the first task after a pause starts: the median, next to the 99th percentile of round
/// trips without ivy and without a pause; and the duration of these trips after the same pause.
pub(crate) fn pause(seconds: f64, times: usize) {
    let text = pinned(Placement::Same, &["run", "round-trip/baseline/tokio", "1.5"]);
    let floor: Figures = text.parse().expect("a run prints figures");
    let options = ["--seconds", &seconds.to_string(), "--times", &times.to_string()];
    let firsts = |what| {
        let args = [&[what][..], &options].concat();
        median(numbers(&pinned(Placement::Same, &args))).expect("there is at least one pause")
    };
    let (ivy, baseline) = (firsts("first-tasks"), firsts("first-trips"));
    let [ivy, baseline] = [ivy, baseline].map(|nanos| nanos as f64 / 1e3);
    let ratio = ivy / floor.p99;
    println!("| # | what | ivy | baseline, p99 | ratio | gate | | baseline after the pause |");
    println!("|---|---|---|---|---|---|---|---|");
    println!(
        "| R9 | first task after {seconds} s starts | {ivy:.0} us | {:.0} us | {ratio:.2} | \
         <= {PAUSE_GATE} | {} | {baseline:.0} us |",
        floor.p99,
        verdict(ratio <= PAUSE_GATE)
    );
}

fn median(mut numbers: Vec<u64>) -> Option<u64> {
    numbers.sort_unstable();
    numbers.get(numbers.len() / 2).copied()
}

fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().flat_map(str::parse).collect()
}

/// Whether memory grows under full load.
pub(crate) fn soak(minutes: u32) {
    println!("| minute | tasks | ivy | `ivy serve` | Redis |");
    println!("|---|---|---|---|---|");
    let mut resident: Vec<u64> = Vec::new();
    ivy_benches::soak(minutes, |tasks, processes| {
        resident.extend(processes.first());
        let memory: Vec<String> = processes.into_iter().map(megabytes).collect();
        println!("| {} | {tasks} | {} |", resident.len(), memory.join(" | "));
    });
    if let (Some(first), Some(last)) = (resident.first(), resident.last()) {
        let growth = *last as f64 / *first as f64;
        let verdict = if growth <= GROWTH_GATE { "flat" } else { "growing" };
        println!();
        println!("{verdict}: {growth:.2} times the memory of the first minute");
    }
}
