//! The promise, tried: the very machines of ivy against a broker, a notifier and a network that
//! do everything wrong, in virtual time.

mod agenda;
mod app;
mod calm;
mod census;
mod clock;
mod dice;
mod fault;
mod handlers;
mod host;
mod ledger;
mod machines;
mod network;
mod original;
mod pubsub;
mod redis;
mod run;
mod setup;
mod strays;
mod task;
mod trace;
mod wire;
mod world;

use fault::{FAULTS, Fault};
use run::{Case, run_seeds};

/// The seeds of an ordinary run of the tests.
const RUNS: u64 = 1_500;

/// A number from the environment, decimal or `0x...`.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Runs the seeds from `IVY_SIM_START`, `IVY_SIM_RUNS` of them. A seed that fails is told step by
/// step in `target/sim`, and replayed by naming it as the start of a single run.
#[test]
fn no_law_is_broken_on_any_of_many_seeds() {
    let start = number("IVY_SIM_START").unwrap_or(0);
    let count = number("IVY_SIM_RUNS").unwrap_or(RUNS);
    let report = run_seeds(start..start + count);
    let census = &report.census;
    println!(
        "{} runs, {} events, {} executions, {} duplicates, {} dead letters, {} virtual days",
        census.runs,
        census.events,
        census.executions,
        census.duplicates,
        census.dead,
        census.virtual_seconds / 86_400,
    );
    if let Some((seed, breach)) = report.failure {
        let path = tell(seed);
        panic!(
            "{breach}; told in {path}; replay: IVY_SIM_START={seed:#x} IVY_SIM_RUNS=1 cargo test -p ivy-tests --test sim"
        );
    }
    // Runs in which something never happened prove nothing about it.
    if count >= RUNS {
        let never: Vec<&str> =
            EXPECTED.into_iter().filter(|event| !census.seen().contains_key(event)).collect();
        assert!(never.is_empty(), "never happened: {never:?}");
        let never: Vec<Fault> = FAULTS
            .iter()
            .map(|entry| entry.fault)
            .filter(|fault| census.faults(*fault) == 0)
            .collect();
        assert!(never.is_empty(), "faults that never happened: {never:?}");
    }
}

/// What must happen in any set of runs that is worth its name.
const EXPECTED: [&str; 20] = [
    "TaskSent",
    "Resent",
    "SendFailed",
    "MessageRetrieved",
    "TaskExecuted",
    "Retried",
    "Acknowledged",
    "DeadLettered",
    "DeadLetterRefused",
    "Released",
    "LeaseLost",
    "ResultSent",
    "NoticeDropped",
    "NoticeIgnored",
    "ResultGivenUp",
    "CallerResumed",
    "QueueError",
    "NotifierError",
    "Degraded",
    "Recovered",
];

#[test]
fn one_seed_gives_one_run() {
    for seed in 0..20 {
        let hash = || Case::from_seed(seed).run().trace.hash();
        assert_eq!(hash(), hash(), "seed {seed}");
    }
}

/// Writes down what happens on a seed, and says where.
fn tell(seed: u64) -> String {
    let outcome = Case { in_words: true, ..Case::from_seed(seed) }.run();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/sim");
    let path = format!("{folder}/{seed:#x}.jsonl");
    std::fs::create_dir_all(folder).expect("a folder can be made");
    std::fs::write(&path, outcome.trace.to_json_lines()).expect("a file can be written");
    path
}
