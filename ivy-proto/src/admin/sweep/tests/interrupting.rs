//! The operator interrupts.

use super::scenario::{Answer, Scenario, dead, is_delete, is_post, is_release, name};
use crate::admin::{Ended, ProblemKind, Requeue, SweepConfig};

fn requeue() -> SweepConfig {
    SweepConfig::requeue(name("mail.dead"), Requeue::new())
}

fn with_letters(count: u32) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..count).map(|number| dead("mail.send", number)));
    scenario
}

/// The number of the first request of a kind in a sweep of this many letters.
fn number_of(letters: u32, is_kind: fn(&crate::queue::QueueOp) -> bool) -> usize {
    let mut scenario = with_letters(letters);
    scenario.run(requeue());
    scenario.requests.iter().position(is_kind).unwrap()
}

#[test]
fn an_interruption_while_it_looks_releases_everything() {
    let mut scenario = with_letters(150);
    scenario.interrupts = [1].into();
    let report = scenario.run(requeue());
    assert_eq!((report.end, report.looked_at, report.released), (Ended::Interrupted, 100, 100));
    assert_eq!(scenario.plan, None);
    assert_eq!((scenario.size("mail"), scenario.bodies("mail.dead").len()), (0, 100));
}

#[test]
fn what_was_posted_is_still_deleted() {
    let mut scenario = with_letters(150);
    scenario.interrupts = [number_of(150, is_post)].into();
    let report = scenario.run(requeue());
    assert_eq!((report.posted, report.deleted, report.not_tried), (100, 100, 50));
    assert_eq!((report.end.clone(), report.released), (Ended::Interrupted, 50));
    assert!(report.is_partial());
    assert_eq!((scenario.size("mail"), scenario.size("mail.dead")), (100, 50));
}

#[test]
fn the_second_interruption_ends_at_once_and_reports_what_is_in_doubt() {
    for (kind, unknown, remaining) in
        [(is_post as fn(&_) -> bool, 2, 0), (is_delete as fn(&_) -> bool, 0, 2)]
    {
        let mut scenario = with_letters(2);
        let number = number_of(2, kind);
        scenario.interrupts = [number, number].into();
        let report = scenario.run(requeue());
        assert_eq!((report.unknown, report.remaining), (unknown, remaining));
        assert_eq!((report.end, scenario.count(is_release)), (Ended::Interrupted, 0));
        assert!(scenario.problems.iter().all(|problem| matches!(
            problem.kind,
            ProblemKind::Unknown(_) | ProblemKind::Remains(_)
        )));
    }
}

#[test]
fn the_second_interruption_leaves_the_leases_to_end() {
    let mut scenario = with_letters(10);
    scenario.answer = Answer::Cancel;
    // The first release, in flight while it is interrupted twice.
    scenario.interrupts = [2, 2].into();
    let report = scenario.run(requeue());
    assert_eq!((report.end, report.released), (Ended::Interrupted, 0));
    assert_eq!(report.left_to_expire, 10);
    assert_eq!(scenario.size("mail.dead"), 10);
}
