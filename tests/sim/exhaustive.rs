//! Every fault, and every pair of faults, at every step of one task's life, without sampling.
//!
//! One producer, one worker, one message. At each step of a machine its process may die before,
//! during or after it, or afterwards stall for longer than the lease or be requested to finish.
//! Each request or its response may be lost.

use std::collections::BTreeMap;
use std::time::Duration;

use ivy_proto::Rng;

use crate::backend::Backend;
use crate::choices::{Choices, Chooser};
use crate::coverage::Coverage;
use crate::failure_report::write;
use crate::fault::{Fault, Opportunity};
use crate::fault_injection::{Source, one_of};
use crate::machine_driver::PAUSES;
use crate::redis_sessions::EVICTED_KEYS;
use crate::regressions::Regression;
use crate::run::{Case, run};
use crate::setup::Setup;
use crate::state_coverage::assert_all_listed;
use crate::task::Plan;

/// The lease and the handler's duration, so that each lease is renewed at least once.
const LEASE: u64 = 5;
const HANDLER_MILLIS: u64 = 4_000;

/// The outcome of all runs of a setup.
struct Sum {
    coverage: Coverage,
    /// Runs by their number of faults.
    by_faults: BTreeMap<usize, u64>,
    /// Runs in which each fault occurred.
    by_fault: BTreeMap<Fault, u64>,
    /// Steps and requests of the run without faults.
    opportunities: usize,
}

#[test]
fn a_task_that_succeeds_survives_each_fault_and_each_pair_of_faults() {
    let sum = try_all(&small_world(Plan::Succeeds));
    assert_not_vacuous(&sum);
}

#[test]
fn a_task_that_fails_once_survives_each_fault_and_each_pair_of_faults() {
    let sum = try_all(&small_world(Plan::FailsFirst(1)));
    assert_not_vacuous(&sum);
}

#[test]
fn a_dead_lettered_task_survives_each_fault_and_each_pair_of_faults() {
    let sum = try_all(&small_world(Plan::FailsFatally));
    assert_not_vacuous(&sum);
    assert!(sum.coverage.dead > sum.coverage.runs, "each run dead-letters it at least once");
}

#[test]
fn a_task_leased_by_a_connection_survives_each_fault_and_each_pair_of_faults() {
    for backend in [Backend::Connections, Backend::ConnectionsWithFlag] {
        let sum = try_all(&Setup { backend, ..small_world(Plan::FailsFirst(1)) });
        assert_not_vacuous(&sum);
    }
}

#[test]
fn a_task_on_redis_survives_each_fault() {
    let setup = Setup { backend: Backend::Redis, ..small_world(Plan::FailsFirst(1)) };
    let offered = [offered(), offered_on_redis()].concat();
    let sum = try_all_of(&setup, 1, &offered);
    assert_all_listed(&sum.coverage.pairs);
    for (opportunity, faults) in offered {
        for (fault, _) in faults {
            let occurred = sum.by_fault.get(&fault).copied().unwrap_or(0);
            assert!(occurred > 0, "{fault:?} of {opportunity:?} occurred {occurred} times");
        }
    }
}

fn small_world(plan: Plan) -> Setup {
    Setup {
        plan: Some(plan),
        lease: LEASE,
        handler_millis: HANDLER_MILLIS,
        as_bytes: true,
        ..Setup::default()
    }
}

/// Runs this world without a fault, with each fault, and with each pair.
fn try_all(setup: &Setup) -> Sum {
    try_all_of(setup, 2, &offered())
}

/// Runs this world with up to this many of these faults, in all combinations.
fn try_all_of(setup: &Setup, most: u32, offered: &[(Opportunity, Vec<(Fault, u64)>)]) -> Sum {
    let mut sum = Sum {
        coverage: Coverage::default(),
        by_faults: BTreeMap::new(),
        by_fault: BTreeMap::new(),
        opportunities: 0,
    };
    let mut choices = Choices::default();
    loop {
        let chooser = Chooser::new(choices, most, offered.to_vec());
        let outcome = run(setup, Source::Chosen(chooser), false);
        if let Some(breach) = &outcome.breach {
            let faults = Some(outcome.faults);
            let case = Case { setup: setup.clone(), faults, in_words: true };
            let steps = write("exhaustive.jsonl", &case.run().trace.to_json_lines());
            let file = write("exhaustive.json", &Regression::of(&case, breach).to_json());
            panic!("{breach}; {file}, steps: {steps}");
        }
        let Source::Chosen(chooser) = outcome.source else { panic!("the source does not change") };
        choices = chooser.choices;
        if sum.coverage.runs == 0 {
            sum.opportunities = choices.made();
        }
        sum.coverage.add(&outcome.coverage);
        *sum.by_faults.entry(outcome.faults.len()).or_default() += 1;
        for fault in &outcome.faults {
            *sum.by_fault.entry(fault.fault).or_default() += 1;
        }
        if !choices.next() {
            println!(
                "{} opportunities, {} runs, by number of faults: {:?}, by fault: {:?}",
                sum.opportunities, sum.coverage.runs, sum.by_faults, sum.by_fault
            );
            return sum;
        }
    }
}

/// The faults that may occur, each with the number that determines its details.
fn offered() -> Vec<(Opportunity, Vec<(Fault, u64)>)> {
    let longer_than_the_lease = Duration::from_secs(3 * LEASE);
    let pause = detail(|rng| Duration::from_millis(one_of(rng, &PAUSES)) == longer_than_the_lease);
    vec![
        (
            Opportunity::Step,
            vec![
                (Fault::CrashBefore, 0),
                (Fault::CrashMidway, detail(|rng| rng.up_to(2) == 0)),
                (Fault::CrashMidway, detail(|rng| rng.up_to(2) == 1)),
                (Fault::CrashAfter, 0),
                (Fault::Pause, pause),
                (Fault::Drain, detail(|rng| rng.up_to(4) == 2)),
            ],
        ),
        (
            Opportunity::Request,
            vec![
                (Fault::RequestLost, 0),
                (Fault::ResponseLost, detail(|rng| rng.up_to(1) == 0)),
                (Fault::ResponseLost, detail(|rng| rng.up_to(1) == 1)),
            ],
        ),
    ]
}

/// What may happen to a Redis server when bytes arrive: a failover that loses the last write or the
/// last two, a restart without any key, and the eviction of each key.
fn offered_on_redis() -> Vec<(Opportunity, Vec<(Fault, u64)>)> {
    let loses = |writes| detail(move |rng| rng.up_to(6) == writes);
    let evicts = |part| detail(move |rng| one_of(rng, &EVICTED_KEYS) == part);
    let faults = vec![
        (Fault::FailsOver, loses(0)),
        (Fault::FailsOver, loses(1)),
        (Fault::FailsOver, loses(2)),
        (Fault::RestartsEmpty, 0),
        (Fault::Evicts, evicts("l")),
        (Fault::Evicts, evicts("h")),
        (Fault::Evicts, evicts("r")),
    ];
    vec![(Opportunity::Server, faults)]
}

/// The smallest number that determines such a detail.
fn detail(is_it: impl Fn(&mut Rng) -> bool) -> u64 {
    (0..10_000)
        .find(|number| is_it(&mut Rng::from_number(*number)))
        .expect("one of the numbers has this detail")
}

fn assert_not_vacuous(sum: &Sum) {
    assert_all_listed(&sum.coverage.pairs);
    let runs = |faults| sum.by_faults.get(&faults).copied().unwrap_or(0);
    assert_eq!(runs(0), 1, "exactly one run has no fault");
    assert!(sum.opportunities >= 20, "{} opportunities", sum.opportunities);
    let singles = sum.opportunities as u64 * 3;
    assert!(runs(1) >= singles, "{} single faults", runs(1));
    assert!(runs(2) >= singles * singles / 2, "{} pairs of faults", runs(2));
    for (opportunity, faults) in offered() {
        for (fault, _) in faults {
            let occurred = sum.by_fault.get(&fault).copied().unwrap_or(0);
            assert!(occurred > singles, "{fault:?} of {opportunity:?} occurred {occurred} times");
        }
    }
    let least = sum.coverage.runs;
    assert!(sum.coverage.executions >= least, "{} executions", sum.coverage.executions);
    assert!(sum.coverage.duplicates > 0, "no fault led to a second run");
}
