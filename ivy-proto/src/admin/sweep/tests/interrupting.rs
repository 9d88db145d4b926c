//! The operator interrupts.

use std::time::Duration;

use super::scenario::{Answer, Scenario, dead, is_delete, is_post, is_release, is_reserve, name};
use crate::Moment;
use crate::admin::{
    Ended, Filter, Input, Output, ProblemKind, Report, Requeue, Sweep, SweepConfig,
};
use crate::queue::QueueOp;

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

/// The moments of the last request and of the end.
fn interrupt_and_drop_replies(
    sweep: &mut Sweep,
    scenario: &mut Scenario,
    is_last: fn(&QueueOp) -> bool,
) -> (Moment, Report) {
    sweep.handle_input(Input::Tick, scenario.now).unwrap();
    let mut silent_since = None;
    loop {
        match sweep.poll_output() {
            Output::Queue(id, op) if silent_since.is_none() && !is_last(&op) => {
                let reply = scenario.execute(op);
                sweep.handle_input(Input::Queue(id, reply), scenario.now).unwrap();
            }
            Output::Queue(..) => {
                silent_since.get_or_insert(scenario.now);
                sweep.handle_input(Input::Interrupt, scenario.now).unwrap();
            }
            Output::Plan(_) => sweep.handle_input(Input::Confirm, scenario.now).unwrap(),
            Output::Wait(deadline) => {
                scenario.pass(deadline.unwrap().at.since(scenario.now));
                sweep.handle_input(Input::Tick, scenario.now).unwrap();
            }
            Output::Finished(report) => return (silent_since.unwrap(), *report),
            _ => {}
        }
    }
}

#[test]
fn an_interrupted_sweep_ends_when_no_reply_arrives_for_a_second() {
    let is_any: fn(&QueueOp) -> bool = |_| true;
    for (is_last, hidden, unknown, remaining) in [
        (is_any, 0, 0, 0),
        (is_reserve, 3, 0, 0),
        (is_post, 0, 2, 0),
        (is_delete, 0, 0, 2),
        (is_release, 0, 0, 0),
    ] {
        let mut scenario = with_letters(2);
        scenario.post("mail.dead", [dead("sms.send", 3)]);
        let filter = Filter::new().with_task("mail.*".parse().unwrap());
        let mut sweep = scenario.start(requeue().with_filter(filter));
        let (since, report) = interrupt_and_drop_replies(&mut sweep, &mut scenario, is_last);
        assert_eq!(scenario.now.since(since), Duration::from_secs(1), "{report}");
        assert_eq!(report.end, Ended::Interrupted);
        assert_eq!((report.hidden, report.unknown, report.remaining), (hidden, unknown, remaining));
    }
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
