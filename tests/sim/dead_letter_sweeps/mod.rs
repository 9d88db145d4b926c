//! Sweeps of dead letters, with every fault at every request, without sampling.
//!
//! One or two operators requeue the same few letters, one of which is there twice, possibly under one id. Each request or
//! its reply may be lost, doubled or late; a server may refuse or omit an entry of a batch; the
//! operator may interrupt, answer after all leases have ended, or the process die. An operator whose process died, or whose report
//! is not complete, repeats the command until nothing is left.
//!
//! | law | what it requires |
//! | --- | --- |
//! | A1 | a letter is deleted only after its task was posted, whatever happens |
//! | A2 | a sweep posts a letter at most once, and all sweeps together more than once only after a reply was lost or late, a request was doubled, or a process died |
//! | A3 | after a sweep has ended, all leases end, and the letters that are left are ready |
//! | A4 | a plan that is not confirmed changes nothing |
//! | A5 | the report contains what was done, and no more |
//! | A6 | no receipt is used after the end of its lease |
//! | A7 | after a sweep of so few letters has ended without a fault, or was interrupted once, nothing is leased; after a second interruption, no more than its report says |

mod checks;
mod faults;
mod letters;
mod requests;
mod server;
mod world;

use crate::backend::Backend;
use crate::choices::Choices;
use crate::laws::Breach;

use faults::SweepFault;
use world::{Action, Answer, Setup, run};

/// The kinds of servers that support sweeps, except for those over connections.
const BACKENDS: [Backend; 3] = [Backend::CountsRenewals, Backend::Exact, Backend::LateReceipts];

/// The runs of a world.
#[derive(Debug, Default)]
struct Sum {
    runs: u64,
    /// How often each fault occurred, in the order of [`SweepFault::ALL`].
    by_fault: [u64; SweepFault::ALL.len()],
    /// How many letters were posted more than once.
    doubles: u64,
}

/// Runs a world with every set of at most `max` faults.
fn try_all(setup: &Setup, max: u32) -> Result<Sum, Breach> {
    let mut sum = Sum::default();
    let mut choices = Choices::default();
    loop {
        let outcome = run(setup, choices, max);
        if let Some(Breach { law, what }) = outcome.breach {
            let what = format!("{what}; {setup:?}, faults: {:?}", outcome.faults);
            return Err(Breach { law, what });
        }
        sum.runs += 1;
        sum.doubles += outcome.doubles;
        for (_, fault) in &outcome.faults {
            let position = SweepFault::ALL.iter().position(|known| known == fault);
            sum.by_fault[position.expect("all faults are listed")] += 1;
        }
        choices = outcome.choices;
        if !choices.next() {
            println!("{setup:?}: {sum:?}");
            return Ok(sum);
        }
    }
}

fn assert_all(setup: &Setup, max: u32) -> Sum {
    let sum = try_all(setup, max).unwrap_or_else(|breach| panic!("{breach}"));
    for (fault, count) in SweepFault::ALL.iter().zip(sum.by_fault) {
        assert!(count > 0 || !fault.occurs_on(setup.backend), "{fault:?} never occurred");
    }
    sum
}

#[test]
fn a_requeue_survives_each_fault_and_each_pair_of_faults() {
    for backend in BACKENDS {
        let sum = assert_all(&Setup { backend, ..Setup::default() }, 2);
        assert!(sum.doubles > 0, "no fault led to a second copy, so the law was not tested");
    }
}

#[test]
fn a_requeue_that_repeats_posts_survives_each_fault() {
    for backend in BACKENDS {
        assert_all(&Setup { backend, again_if_unknown: true, ..Setup::default() }, 1);
    }
}

#[test]
fn a_deletion_of_dead_letters_survives_each_fault_and_each_pair_of_faults() {
    for backend in BACKENDS {
        assert_all(&Setup { backend, action: Action::Delete, ..Setup::default() }, 2);
    }
}

#[test]
fn copies_that_share_an_id_survive_each_fault_and_each_pair_of_faults() {
    for backend in BACKENDS {
        for action in [Action::Requeue, Action::Delete] {
            assert_all(&Setup { backend, action, shares_ids: true, ..Setup::default() }, 2);
        }
        let answer = Answer::ConfirmLate;
        assert_all(&Setup { backend, answer, shares_ids: true, ..Setup::default() }, 1);
        let action = Action::Look;
        let looked = try_all(&Setup { backend, action, shares_ids: true, ..Setup::default() }, 2);
        looked.unwrap_or_else(|breach| panic!("{breach}"));
    }
}

#[test]
fn a_late_answer_survives_each_fault_and_each_pair_of_faults() {
    for backend in BACKENDS {
        for action in [Action::Requeue, Action::Delete] {
            let answer = Answer::ConfirmLate;
            assert_all(&Setup { backend, action, answer, ..Setup::default() }, 2);
        }
    }
}

#[test]
fn another_operator_during_a_late_answer_does_no_harm() {
    for backend in BACKENDS {
        for second_after in [0, 6, 500, 1_500, 2_500] {
            let (answer, second_after) = (Answer::ConfirmLate, Some(second_after));
            assert_all(&Setup { backend, answer, second_after, ..Setup::default() }, 1);
        }
    }
}

#[test]
fn two_operators_on_the_same_letters_do_no_harm() {
    for backend in BACKENDS {
        for second_after in 0..14 {
            let second_after = Some(second_after);
            assert_all(&Setup { backend, second_after, ..Setup::default() }, 1);
        }
    }
}

#[test]
fn a_plan_changes_nothing_whatever_fails() {
    for backend in BACKENDS {
        for answer in [Answer::Cancel, Answer::Never] {
            let sum = try_all(&Setup { backend, answer, ..Setup::default() }, 2);
            let sum = sum.unwrap_or_else(|breach| panic!("{breach}"));
            assert_eq!(sum.doubles, 0);
        }
    }
}

#[test]
fn a_look_leaves_nothing_leased_and_changes_nothing() {
    for backend in BACKENDS {
        let sum = try_all(&Setup { backend, action: Action::Look, ..Setup::default() }, 2);
        let sum = sum.unwrap_or_else(|breach| panic!("{breach}"));
        assert!(sum.runs > 100, "{sum:?}");
    }
}

/// The first breach of a law in the smallest worlds, for planted bugs.
#[cfg(ivy_planted)]
pub(crate) fn first_breach() -> Option<Breach> {
    let worlds = BACKENDS.into_iter().flat_map(|backend| {
        [Action::Requeue, Action::Look].map(|action| Setup { backend, action, ..Setup::default() })
    });
    worlds.into_iter().find_map(|setup| try_all(&setup, 1).err())
}
