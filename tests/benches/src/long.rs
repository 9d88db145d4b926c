//! What is not compared in pairs of short runs.
#![allow(clippy::print_stdout)]

use std::process::{Command, Stdio};
use std::time::Duration;

/// The most a worker may take, in those of its limit.
const MEMORY_GATE: f64 = 2.0;
/// The most that memory may grow.
const GROWTH_GATE: f64 = 1.1;
/// The latest that a first task may start, in round trips without ivy.
const PAUSE_GATE: f64 = 3.0;

fn verdict(held: bool) -> &'static str {
    if held { "held" } else { "missed" }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The memory of a worker after so many tasks.
pub(crate) fn memory(tasks: &[u64]) {
    let [ivy, limit] =
        ["work/ivy/100", "work/limit/1"].map(|load| ivy_benches::resident_after(load, tasks));
    let (Some((first, last)), Some(limit)) = (ivy.first().zip(ivy.last()), limit.last()) else {
        return;
    };
    let (against, growth) = (*last as f64 / *limit as f64, *last as f64 / *first as f64);
    println!("| # | what | ivy | against | ratio | gate | |");
    println!("|---|---|---|---|---|---|---|");
    let row = |what: &str, than: u64, ratio: f64, gate: f64| {
        let verdict = verdict(ratio <= gate);
        let (ivy, than) = (megabytes(*last), megabytes(than));
        println!("| S1 | {what} | {ivy} | {than} | {ratio:.2} | <= {gate} | {verdict} |");
    };
    row(
        &format!("worker's memory after {tasks:?} tasks, and its limit's"),
        *limit,
        against,
        MEMORY_GATE,
    );
    row("the same, and its own after the first", *first, growth, GROWTH_GATE);
}

/// What idle workers take.
pub(crate) fn idle(time: Duration) {
    println!("| idle for {time:?} | processor time in a second | memory |");
    println!("|---|---|---|");
    for (backend, what) in [
        ("memory", "worker, memory"),
        ("ironmq", "worker, ivy serve"),
        ("with-redis", "worker, ivy serve and Redis"),
    ] {
        let output = Command::new(std::env::current_exe().expect("a program knows its own path"))
            .args(["idle-worker", backend, &time.as_secs_f64().to_string()])
            .stderr(Stdio::inherit())
            .output()
            .expect("this program runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let numbers: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
        let [nanos, bytes] = numbers[..] else { panic!("the run at {backend} failed: {text}") };
        println!("| {what} | {:?} | {} |", Duration::from_nanos(nanos), megabytes(bytes));
    }
}

/// How soon the first task after a pause starts.
pub(crate) fn pause(length: Duration, times: usize) {
    let (floor, mut took) = ivy_benches::pause(length, times);
    took.sort();
    println!("| # | what | ivy | limit, p99 | ratio | gate | |");
    println!("|---|---|---|---|---|---|---|");
    if let Some(middle) = took.get(took.len() / 2) {
        let ratio = middle.as_secs_f64() / floor.as_secs_f64();
        let verdict = verdict(ratio <= PAUSE_GATE);
        println!(
            "| R9 | first task after {length:?} starts | {middle:?} | {floor:?} | {ratio:.2} | \
             <= {PAUSE_GATE} | {verdict} |"
        );
    }
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
