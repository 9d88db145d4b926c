//! The report of a failure: a line that reruns it, its steps in words, and the fewest faults that
//! still lead to it.

use std::path::PathBuf;
use std::process::Command;

use crate::laws::Breach;
use crate::regressions::Regression;
use crate::run::Case;
use crate::setup::{Profile, Setup};

/// The maximum number of runs to find fewer faults.
const MAX_TRIALS: usize = 3_000;

/// Writes the report of a failed seed to `target/sim`, and returns the lines to print.
pub(crate) fn report_failure(seed: u64, profile: Profile, breach: &Breach) -> String {
    let case = Case { in_words: true, ..Case::from_seed(seed, profile) };
    let outcome = case.run();
    let steps = write(&format!("{seed:#x}.jsonl"), &outcome.trace.to_json_lines());
    let smallest = shrink(&Case { faults: Some(outcome.faults), ..case }, breach.law);
    let fault_count = smallest.faults.as_ref().map_or(0, Vec::len);
    let regression = Regression::of(&smallest, breach);
    let shrunk = write(&format!("{seed:#x}.json"), &regression.to_json());
    let smallest_trace = Case { in_words: true, ..smallest }.run().trace.to_json_lines();
    let least_steps = write(&format!("{seed:#x}.least.jsonl"), &smallest_trace);
    format!(
        "{breach}\nIVY_SIM_SEED={seed:#x} IVY_SIM_PROFILE={} commit={} step={} \
         cargo test -p ivy-sim replay -- --nocapture\n\
         steps: {steps}\nwith {fault_count} faults: {shrunk}, steps: {least_steps}",
        profile.name(),
        commit(),
        outcome.coverage.events,
    )
}

/// The case with the fewest faults, and the smallest world, in which the same law is broken.
pub(crate) fn shrink(case: &Case, law: &str) -> Case {
    let mut smallest = case.clone();
    smallest.in_words = false;
    let mut trials = 0;
    let mut still_fails = |case: &Case| {
        trials += 1;
        trials <= MAX_TRIALS && case.run().breach.is_some_and(|breach| breach.law == law)
    };
    loop {
        let before = smallest.clone();
        // First many at a time, then one by one.
        let count = smallest.faults.as_ref().map_or(0, Vec::len);
        let mut size = count.div_ceil(2);
        while size > 0 {
            let mut from = 0;
            while let Some(faults) = &smallest.faults
                && from < faults.len()
            {
                let mut fewer = faults.clone();
                fewer.drain(from..(from + size).min(faults.len()));
                let trial = Case { faults: Some(fewer), ..smallest.clone() };
                if still_fails(&trial) { smallest = trial } else { from += size }
            }
            size /= 2;
        }
        for smaller in smaller_worlds(&smallest.setup) {
            let trial = Case { setup: smaller, ..smallest.clone() };
            if still_fails(&trial) {
                smallest = trial;
                break;
            }
        }
        if smallest.faults == before.faults && smallest.setup == before.setup {
            return smallest;
        }
    }
}

/// Worlds that are a little smaller than this one.
fn smaller_worlds(setup: &Setup) -> Vec<Setup> {
    let without_class = |class| {
        let classes = setup.classes.iter().copied().filter(|other| *other != class).collect();
        Setup { classes, ..setup.clone() }
    };
    let mut worlds: Vec<Setup> = setup.classes.iter().copied().map(without_class).collect();
    worlds.extend([
        Setup { tasks: (setup.tasks / 2).max(1), ..setup.clone() },
        Setup { tasks: setup.tasks.saturating_sub(1).max(1), ..setup.clone() },
        Setup { foreign_messages: 0, ..setup.clone() },
        Setup { producers: 1, ..setup.clone() },
        Setup { workers: 1, ..setup.clone() },
        Setup { node_workers: 0, ..setup.clone() },
        Setup { kinds: 1, ..setup.clone() },
        Setup { old_workers: 0, ..setup.clone() },
        Setup { workers_of_another_program: 0, ..setup.clone() },
        Setup { as_bytes: false, ..setup.clone() },
        Setup { encrypted: false, ..setup.clone() },
    ]);
    worlds.retain(|world| world != setup);
    worlds
}

/// Writes a file to `target/sim`, and returns its path.
pub(crate) fn write(name: &str, text: &str) -> String {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/sim"));
    std::fs::create_dir_all(&folder).expect("the directory can be created");
    std::fs::write(folder.join(name), text).expect("the file can be written");
    format!("target/sim/{name}")
}

/// The current commit, if this is a repository.
pub(crate) fn commit() -> String {
    let output =
        Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "HEAD"]).output();
    let hash = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    hash.and_then(|hash| String::from_utf8(hash).ok())
        .map_or_else(|| "none".to_owned(), |hash| hash.trim().to_owned())
}
