//! Tasks that crash their workers, and long tasks that are interrupted, at each kind of server.

use std::time::Duration;

use crate::backend::{Backend, Counts};
use crate::fault::Class;
use crate::fault_injection::FaultRates;
use crate::run::Case;
use crate::setup::Setup;
use crate::task::{Plan, Task};
use crate::world::World;

/// Lost deliveries that may go uncounted if the queue's count includes other events.
fn not_counted(backend: Backend) -> u32 {
    match backend.counts() {
        Counts::DeliveriesAndRenewals | Counts::Deliveries => 5,
        Counts::Ends | Counts::Flag => 0,
    }
}

/// The tasks of a world without faults except those that the tasks cause.
fn tasks_after(setup: Setup) -> Vec<Task> {
    let what = format!("{setup:?}");
    let mut world = World::new(setup);
    while world.step() && !world.is_over() {}
    assert_eq!(world.checker.breach(), None, "{what}");
    std::mem::take(&mut world.checker.tasks)
}

fn killers(backend: Backend, max_deliveries: u32, handler_millis: u64) -> Setup {
    Setup {
        plan: Some(Plan::Kills),
        backend,
        max_deliveries,
        handler_millis,
        as_bytes: true,
        lease: 5,
        fault_seconds: Duration::from_secs(3_600).as_secs(),
        ..Setup::default()
    }
}

#[test]
fn a_task_that_crashes_its_workers_is_dead_lettered_after_a_bounded_number_of_losses() {
    for backend in Backend::ALL {
        for max_deliveries in [2, 3, 10] {
            // Immediately, and after many renewals.
            for handler_millis in [0, 20_000] {
                let setup = killers(backend, max_deliveries, handler_millis);
                let killer = &tasks_after(setup)[0];
                let max = max_deliveries + not_counted(backend);
                let lost: u32 = killer.lost.values().sum();
                assert_eq!((killer.dead, killer.live), (1, 0), "{killer:?}");
                assert!((max_deliveries..=max).contains(&lost), "{killer:?}");
            }
        }
    }
}

#[test]
fn each_of_several_tasks_that_crash_their_workers_is_dead_lettered() {
    for backend in Backend::ALL {
        for seed in 0..20 {
            let setup = killers(backend, 10, 3_000);
            let setup = Setup { seed, tasks: 4, workers: 2, concurrency: 2, ..setup };
            for killer in tasks_after(setup).iter().filter(|task| task.plan == Plan::Kills) {
                assert!(killer.dead > 0 && killer.live == 0, "{killer:?}");
            }
        }
    }
}

#[test]
fn long_tasks_that_are_interrupted_by_drains_and_crashes_are_done() {
    let fault_rates =
        FaultRates { one_request_in: 12, one_step_in: 400, one_handler_in: 10, one_publish_in: 10 };
    for backend in Backend::ALL {
        for seed in 0..20 {
            let setup = Setup {
                seed,
                plan: Some(Plan::Succeeds),
                backend,
                as_bytes: true,
                classes: vec![Class::Crashes, Class::Shutdowns],
                fault_rates,
                lease: 1,
                handler_millis: 60_000,
                tasks: 3,
                workers: 2,
                concurrency: 2,
                fault_seconds: 400,
                ..Setup::default()
            };
            let outcome = Case { setup, faults: None, in_words: false }.run();
            assert_eq!(outcome.breach, None, "{backend:?}, seed {seed}");
            assert_eq!(outcome.coverage.dead, 0, "{backend:?}, seed {seed}");
        }
    }
}
