//! Sweeps of dead letters, step by step.

use std::num::NonZeroU32;

use super::{DOUBLE, SOON, doubling, ivy};
use crate::adapter::admin::{Ended, Filter, Report, Requeue, SweepConfig};
use crate::adapter::{Content, ErrorKind, Ivy, QueueName, RunningSweep, SweepStep, wait};

fn dead() -> QueueName {
    QueueName::new("test.dead").unwrap()
}

/// An ivy with this many dead letters.
fn with_letters(count: usize) -> Ivy {
    let ivy = ivy();
    let worker = doubling(&ivy);
    for _ in 0..count {
        let handle = wait(ivy.call(&DOUBLE, (u64::MAX,))).unwrap();
        assert_eq!(wait(handle.result(SOON)).unwrap_err().kind(), ErrorKind::Failed);
    }
    wait(worker.drain(SOON));
    ivy
}

fn size(ivy: &Ivy, queue: &str) -> Option<u64> {
    wait(ivy.admin().info(queue)).unwrap().size
}

fn finish(sweep: &mut RunningSweep) -> Report {
    loop {
        match wait(sweep.next()).expect("a sweep ends with its report") {
            SweepStep::Plan(_) => sweep.confirm(),
            SweepStep::Finished(report) => return *report,
            _ => {}
        }
    }
}

#[test]
fn a_sweep_shows_rows_and_a_plan_and_requeues_what_was_confirmed() {
    let ivy = with_letters(3);
    let config = SweepConfig::requeue(dead(), Requeue::new());
    let mut sweep = ivy.admin().sweep(config).unwrap();
    let (mut rows, mut progress) = (0, 0);
    let report = loop {
        match wait(sweep.next()).unwrap() {
            SweepStep::Row(row) => {
                let Content::DeadLetter { letter, .. } = &row.content else { panic!("{row:?}") };
                assert_eq!(letter.queue.as_str(), "test");
                assert!(!format!("{row:?}").contains("18446744073709551615"));
                rows += 1;
            }
            SweepStep::Plan(plan) => {
                assert_eq!((plan.processed, plan.needs_confirmation()), (3, true));
                assert_eq!(size(&ivy, "test"), Some(0));
                sweep.confirm();
            }
            SweepStep::Progress(_) => progress += 1,
            SweepStep::Finished(report) => break report,
            step => panic!("{step:?}"),
        }
    };
    assert!(wait(sweep.next()).is_none());
    assert_eq!((rows, report.posted, report.deleted, report.end), (3, 3, 3, Ended::Done));
    assert!(progress > 0);
    assert_eq!((size(&ivy, "test"), size(&ivy, "test.dead")), (Some(3), Some(0)));
}

#[test]
fn a_cancelled_plan_changes_nothing() {
    let ivy = with_letters(2);
    let mut sweep = ivy.admin().sweep(SweepConfig::delete(dead())).unwrap();
    let report = loop {
        match wait(sweep.next()).unwrap() {
            SweepStep::Plan(_) => sweep.cancel(),
            SweepStep::Finished(report) => break report,
            _ => {}
        }
    };
    assert_eq!((report.end, report.released), (Ended::Cancelled, 2));
    assert_eq!(wait(ivy.admin().peek("test.dead", 10)).unwrap().len(), 2);
}

#[test]
fn a_sweep_can_be_interrupted_from_elsewhere() {
    let ivy = with_letters(2);
    // The second message is posted a second later.
    let requeue = Requeue::new().with_rate(NonZeroU32::MIN);
    let mut sweep = ivy.admin().sweep(SweepConfig::requeue(dead(), requeue)).unwrap();
    let interrupter = sweep.interrupter();
    let report = loop {
        match wait(sweep.next()).unwrap() {
            SweepStep::Plan(_) => {
                sweep.confirm();
                interrupter.interrupt();
            }
            SweepStep::Finished(report) => break report,
            _ => {}
        }
    };
    assert_eq!((report.end, report.posted + report.not_tried), (Ended::Interrupted, 2));
    assert!(report.not_tried > 0);
    // Without effect after the end.
    interrupter.interrupt();
    sweep.interrupt();
    assert!(wait(sweep.next()).is_none());
}

#[test]
fn a_dropped_sweep_changes_nothing_and_another_one_finds_what_it_did_not_hold() {
    let ivy = with_letters(2);
    let config = || SweepConfig::requeue(dead(), Requeue::new());
    let mut sweep = ivy.admin().sweep(config().with_limit(1)).unwrap();
    while !matches!(wait(sweep.next()).unwrap(), SweepStep::Plan(_)) {}
    drop(sweep);
    let report = finish(&mut ivy.admin().sweep(config()).unwrap());
    assert_eq!((report.looked_at, report.posted), (1, 1));
    assert_eq!(size(&ivy, "test.dead"), Some(1));
}

#[test]
fn a_sweep_that_is_impossible_names_its_queue() {
    let live = QueueName::new("test").unwrap();
    let error = ivy().admin().sweep(SweepConfig::delete(live)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(error.queue().map(QueueName::as_str), Some("test"));
    assert!(error.to_string().contains("not a dead-letter queue"), "{error}");
}

#[test]
fn a_sweep_of_a_missing_queue_reports_it() {
    let filter = Filter::new().not_requeued();
    let config = SweepConfig::look(dead()).with_filter(filter);
    let report = finish(&mut ivy().admin().sweep(config).unwrap());
    assert!(matches!(report.end, Ended::Failed(_)), "{report}");
}
