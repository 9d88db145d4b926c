//! Many worlds, each from a seed: no law is broken in any, and together they cover everything.

use std::ops::Range;

use crate::coverage::Coverage;
use crate::failure_report::{commit, report_failure};
use crate::fault::{FAULTS, Fault};
use crate::run::{Case, run_seeds};
use crate::setup::Profile;
use crate::state_coverage::{assert_all_listed, assert_all_seen};

/// How many seeds an ordinary test run uses. `tests/run` uses more.
const RUNS: u64 = 2_000;
/// How many worlds have a flood of invalid messages, and how many a queue that several programs
/// share.
const FLOODS: u64 = 100;
const SHARED_QUEUES: u64 = 100;
/// Fewer seeds than this need not cover everything that can happen.
const WORTH_COUNTING: u64 = 2_000;
/// This many seeds cover every pair of state and input.
const SHOWS_ALL_PAIRS: u64 = 40_000;
/// How many seeds derived from the commit are independent of those that are always run.
const FRESH_SEEDS_BEGIN: u64 = 1 << 48;

/// A number from the environment, decimal or `0x...`.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let text = text.trim();
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// The seeds from `IVY_SIM_START` on, `IVY_SIM_RUNS` of them.
#[test]
fn no_law_is_broken_on_any_of_many_seeds() {
    let start = number("IVY_SIM_START").unwrap_or(0);
    let count = number("IVY_SIM_RUNS").unwrap_or(RUNS);
    let coverage = run_all(start..start + count, Profile::Swarm);
    if count >= WORTH_COUNTING {
        assert_nothing_is_missing(&coverage);
    }
    if count >= SHOWS_ALL_PAIRS {
        assert_all_seen(&coverage.pairs);
    }
}

/// `IVY_SIM_FRESH` seeds derived from the commit, so that each commit is tested with other seeds.
#[test]
fn no_law_is_broken_on_seeds_of_this_commit() {
    let hash = commit();
    let start = u64::from_str_radix(&hash[..hash.len().min(10)], 16).unwrap_or(0);
    let start = FRESH_SEEDS_BEGIN + (start << 16);
    run_all(start..start + number("IVY_SIM_FRESH").unwrap_or(RUNS / 5), Profile::Swarm);
}

#[test]
fn a_server_that_is_down_receives_few_requests() {
    let coverage = run_all(0..number("IVY_SIM_OUTAGES").unwrap_or(300), Profile::Outage);
    assert!(coverage.outage_requests > 0, "no request was sent while the server was down");
}

/// Whatever other programs post that no worker can process, valid work continues.
#[test]
fn valid_work_keeps_half_of_its_rate_during_a_flood_of_unknown_messages() {
    let coverage = run_all(0..FLOODS, Profile::Flood);
    assert!(coverage.seen().contains_key("Released"), "no flood occurred");
}

/// Programs that share a queue, of which only one knows the task.
#[test]
fn a_task_soon_reaches_the_worker_that_knows_it_among_idle_ones_that_do_not() {
    let coverage = run_all(0..SHARED_QUEUES, Profile::Shared);
    assert!(coverage.seen().contains_key("QueueShared"), "no process reported it");
}

/// Runs `IVY_SIM_SEED` in a world of `IVY_SIM_PROFILE` again, and prints its steps.
#[test]
fn replay_of_a_seed_gives_the_same_run() {
    let seed = number("IVY_SIM_SEED").unwrap_or(1);
    let name = std::env::var("IVY_SIM_PROFILE").unwrap_or_else(|_| "swarm".to_owned());
    let profile = Profile::ALL.into_iter().find(|profile| profile.name() == name);
    let profile = profile.unwrap_or_else(|| panic!("unknown profile {name}"));
    let outcome = Case::from_seed(seed, profile).run();
    if let Some(breach) = &outcome.breach {
        panic!("{}", report_failure(seed, profile, breach));
    }
    // The faults alone give the same run.
    let faults = Some(outcome.faults);
    let again = Case { faults, ..Case::from_seed(seed, profile) }.run();
    assert_eq!(again.trace.hash(), outcome.trace.hash());
    println!("seed {seed:#x}: no law is broken in {} steps", outcome.coverage.events);
}

fn run_all(seeds: Range<u64>, profile: Profile) -> Coverage {
    let report = run_seeds(seeds, profile, || {});
    let coverage = report.coverage;
    println!(
        "{} runs, {} events, {} executions, {} duplicates, {} dead letters, {} virtual days",
        coverage.runs,
        coverage.events,
        coverage.executions,
        coverage.duplicates,
        coverage.dead,
        coverage.virtual_seconds / 86_400,
    );
    if let Some((seed, breach)) = report.failure {
        panic!("{}", report_failure(seed, profile, &breach));
    }
    assert_all_listed(&coverage.pairs);
    assert!(coverage.executions > 0, "no handler was run, so the runs prove nothing");
    coverage
}

/// Runs in which something never happened prove nothing about it.
fn assert_nothing_is_missing(coverage: &Coverage) {
    let never: Vec<&str> =
        EVENTS.into_iter().filter(|event| !coverage.seen().contains_key(event)).collect();
    assert!(never.is_empty(), "never happened: {never:?}");
    let never: Vec<Fault> = FAULTS
        .iter()
        .map(|entry| entry.fault)
        .filter(|fault| coverage.faults(*fault) == 0)
        .collect();
    assert!(never.is_empty(), "faults that never happened: {never:?}");
}

/// The events that any set of runs must contain if it is large enough.
const EVENTS: [&str; 28] = [
    "TaskSent",
    "Resent",
    "SendFailed",
    "withdrawn",
    "perhaps sent",
    "MessageRetrieved",
    "TaskExecuted",
    "Retried",
    "Postponed",
    "Replaced",
    "Acknowledged",
    "DeadLettered",
    "DeadLetterRefused",
    "Released",
    "Released, its key not yet known",
    "Released, its arguments of another version",
    "QueueShared",
    "LeaseLost",
    "WokenLate",
    "ResultSent",
    "NoticeDropped",
    "NoticeIgnored",
    "CallbackEvicted",
    "CallerResumed",
    "QueueError",
    "NotifierError",
    "Degraded",
    "Recovered",
];
