//! Lost requests and replies, refusals, and leases that end.

use std::collections::VecDeque;
use std::time::Duration;

use super::scenario::{
    Fate, Fates, Scenario, dead, is_delete, is_post, is_release, is_reserve, is_touch, name,
};
use crate::admin::{Ended, Input, Output, ProblemKind, Requeue, SweepConfig};
use crate::queue::{Fault, FaultKind, QueueOp, QueueReply, Reserved};
use crate::{MessageId, WallClock};

fn requeue(requeue: Requeue) -> SweepConfig {
    SweepConfig::requeue(name("mail.dead"), requeue)
}

fn with_letters(count: u32) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..count).map(|number| dead("mail.send", number)));
    scenario
}

/// The fate of the first request of a kind.
fn first(is_kind: fn(&QueueOp) -> bool, fate: Fate) -> Fates {
    let mut fate = Some(fate);
    Box::new(move |_, op| fate.take_if(|_| is_kind(op)).unwrap_or(Fate::Executed))
}

#[test]
fn a_message_that_may_have_been_posted_is_not_posted_again_and_stays() {
    let mut scenario = with_letters(150);
    scenario.fate = first(is_post, Fate::ReplyLost);
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.unknown, report.posted, report.deleted), (100, 50, 50));
    assert!(report.is_partial() && report.end == Ended::Done);
    assert!(matches!(scenario.problems()[0], ProblemKind::Unknown(_)));
    assert_eq!((scenario.size("mail"), scenario.size("mail.dead")), (150, 100));
}

#[test]
fn it_is_posted_again_if_the_operator_permits_it() {
    let mut scenario = with_letters(2);
    scenario.fate = first(is_post, Fate::ReplyLost);
    let report = scenario.run(requeue(Requeue::new().again_if_unknown()));
    assert_eq!((report.unknown, report.posted, report.deleted), (0, 2, 2));
    assert_eq!((scenario.size("mail"), scenario.size("mail.dead")), (4, 0));
}

#[test]
fn requests_that_were_not_sent_are_repeated() {
    for is_kind in [is_reserve, is_post, is_delete] {
        let mut scenario = with_letters(3);
        scenario.fate = first(is_kind, Fate::NotSent);
        let report = scenario.run(requeue(Requeue::new()));
        assert_eq!((report.posted, report.deleted, report.is_partial()), (3, 3, false));
        assert_eq!((scenario.size("mail"), scenario.size("mail.dead")), (3, 0));
    }
}

#[test]
fn a_delete_whose_reply_was_lost_is_repeated() {
    let mut scenario = with_letters(3);
    scenario.fate = first(is_delete, Fate::ReplyLost);
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.posted, report.deleted, report.remaining), (3, 3, 0));
}

#[test]
fn messages_whose_reserve_was_lost_are_reported_as_hidden() {
    let mut scenario = with_letters(150);
    scenario.fate = first(is_reserve, Fate::ReplyLost);
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.hidden, report.posted), (100, 50));
    scenario.pass(Duration::from_secs(600));
    assert_eq!(scenario.bodies("mail.dead").len(), 100);
}

#[test]
fn a_refused_batch_is_split_until_only_the_refused_message_stays() {
    let mut scenario = with_letters(5);
    scenario.fate = Box::new(|_, op| match op {
        QueueOp::Post { messages, .. }
            if messages.items().iter().any(|it| it.body.as_str().contains("\"args\":[3]")) =>
        {
            Fate::Refused(FaultKind::TooLarge)
        }
        _ => Fate::Executed,
    });
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.posted, report.refused, report.deleted), (4, 1, 4));
    assert_eq!(scenario.bodies("mail.dead"), [dead("mail.send", 3).as_str()]);
    assert!(matches!(scenario.problems()[..], [ProblemKind::Refused(_)]));
}

#[test]
fn letters_that_were_gone_before_they_were_deleted_are_reported() {
    let mut scenario = with_letters(3);
    scenario.fate = Box::new(move |_, op| match op {
        QueueOp::DeleteMany { receipts, .. } => {
            // The server has lost its data after it replied to the post.
            let gone = || Err(Fault::new(FaultKind::NoMessage));
            Fate::Replied(QueueReply::Deleted(receipts.items().iter().map(|_| gone()).collect()))
        }
        _ => Fate::Executed,
    });
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.posted, report.deleted, report.gone), (3, 0, 3));
    assert!(report.is_partial() && report.to_string().contains("3 gone before"), "{report}");
    assert_eq!(scenario.problems(), [&ProblemKind::Gone; 3]);
}

#[test]
fn letters_that_a_delete_without_a_reply_has_deleted_are_not_reported() {
    let mut scenario = with_letters(3);
    let mut number = 0;
    scenario.fate = Box::new(move |_, op| match op {
        QueueOp::DeleteMany { receipts, .. } => {
            number += 1;
            let gone = || Err(Fault::new(FaultKind::NoMessage));
            match number {
                1 => Fate::ReplyLost,
                _ => Fate::Replied(QueueReply::Deleted(
                    receipts.items().iter().map(|_| gone()).collect(),
                )),
            }
        }
        _ => Fate::Executed,
    });
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.deleted, report.gone, report.is_partial()), (3, 0, false));
}

#[test]
fn one_refused_entry_of_a_batch_costs_no_other() {
    let mut scenario = with_letters(3);
    let mut number = 0;
    scenario.fate = Box::new(move |_, op| match op {
        QueueOp::Post { .. } => {
            let entry = |_| {
                number += 1;
                let fault = match number {
                    1 => return Ok(MessageId::new("1")),
                    2 => FaultKind::Refused,
                    _ => FaultKind::ReplyLost,
                };
                Err(Fault::new(fault))
            };
            Fate::Replied(QueueReply::Posted((0..3).map(entry).collect()))
        }
        _ => Fate::Executed,
    });
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.posted, report.refused, report.unknown, report.deleted), (1, 1, 1, 1));
    assert_eq!(scenario.size("mail.dead"), 2);
}

#[test]
fn a_backend_that_goes_away_leaves_a_report_of_what_was_done() {
    let mut scenario = with_letters(250);
    let mut posts = 0;
    scenario.fate = Box::new(move |_, op| {
        posts += usize::from(is_post(op));
        if posts > 1 { Fate::NotSent } else { Fate::Executed }
    });
    let report = scenario.run(requeue(Requeue::new()));
    assert!(matches!(&report.end, Ended::Failed(fault) if fault.kind() == FaultKind::Unreachable));
    assert_eq!((report.posted, report.deleted, report.not_tried), (100, 100, 150));
    assert_eq!(report.left_to_expire, 150);
    // One release is tried.
    assert_eq!((scenario.count(is_post), scenario.count(is_release)), (6, 1));
    assert_eq!(scenario.size("mail.dead"), 150);
}

#[test]
fn releases_that_fail_together_are_tried_again_and_count_as_one_failure() {
    let mut scenario = with_letters(20);
    scenario.backend.admin.pipelined_releases = 10;
    let mut sweep = scenario.start(SweepConfig::look(name("mail.dead")));
    sweep.handle_input(Input::Tick, scenario.now).unwrap();
    let (mut in_flight, mut failures) = (VecDeque::new(), 10);
    let report = loop {
        match sweep.poll_output() {
            Output::Queue(id, op) => in_flight.push_back((id, op)),
            Output::Wait(deadline) => {
                let input = match in_flight.pop_front() {
                    Some((id, op)) if is_release(&op) && failures > 0 => {
                        failures -= 1;
                        Input::Queue(id, Err(Fault::new(FaultKind::Unreachable)))
                    }
                    Some((id, op)) => Input::Queue(id, scenario.execute(op)),
                    None => {
                        scenario.pass(deadline.unwrap().at.since(scenario.now));
                        Input::Tick
                    }
                };
                sweep.handle_input(input, scenario.now).unwrap();
            }
            Output::Finished(report) => break report,
            _ => {}
        }
    };
    assert_eq!((report.end, report.released, report.left_to_expire), (Ended::Done, 20, 0));
    assert_eq!(scenario.bodies("mail.dead")[0], dead("mail.send", 0).as_str());
}

#[test]
fn letters_that_were_posted_and_not_deleted_are_reported() {
    let mut scenario = with_letters(2);
    scenario.fate = Box::new(|_, op| if is_delete(op) { Fate::NotSent } else { Fate::Executed });
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.posted, report.deleted, report.remaining), (2, 0, 2));
    assert!(matches!(scenario.problems()[0], ProblemKind::Remains(_)));
}

#[test]
fn a_refused_batch_of_deletes_is_repeated_one_by_one() {
    let mut scenario = with_letters(3);
    scenario.fate = first(is_delete, Fate::Refused(FaultKind::Refused));
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.deleted, scenario.count(is_delete)), (3, 4));
}

#[test]
fn a_letter_whose_lease_ended_is_skipped_and_reported() {
    let mut scenario = with_letters(3);
    let config = requeue(Requeue::new().with_rate(std::num::NonZeroU32::MIN));
    scenario.backend.lease = crate::queue::Lease::Timed {
        shortest: Duration::from_secs(1),
        longest: Duration::from_secs(2),
        documented: Duration::from_secs(1),
    };
    // When the lease of the third one has ended, another operator has it.
    let mut reserves = 0;
    scenario.fate = Box::new(move |_, op| {
        reserves += usize::from(is_reserve(op));
        match op {
            QueueOp::Reserve { .. } if reserves > 1 => {
                Fate::Replied(QueueReply::Reserved(Reserved::default()))
            }
            _ => Fate::Executed,
        }
    });
    let report = scenario.run(config);
    assert_eq!((report.posted, report.leases_lost), (2, 1));
    assert_eq!(scenario.problems(), [&ProblemKind::LeaseLost]);
    // An empty reply may come from a server whose clock is behind.
    assert_eq!(scenario.count(is_reserve), 1 + 3);
}

#[test]
fn a_letter_whose_renewal_is_refused_is_skipped_and_reported() {
    let mut scenario = with_letters(60);
    let config = requeue(Requeue::new().with_rate(std::num::NonZeroU32::MIN));
    scenario.fate = first(is_touch, Fate::Refused(FaultKind::LeaseLost));
    let report = scenario.run(config);
    assert_eq!((report.posted, report.leases_lost), (59, 1));
}

#[test]
fn a_wall_clock_that_leaps_past_the_leases_ends_them() {
    let mut scenario = with_letters(2);
    let mut sweep = scenario.start(requeue(Requeue::new()));
    sweep.handle_input(Input::Tick, scenario.now).unwrap();
    let plan = loop {
        match sweep.poll_output() {
            Output::Queue(id, op) => {
                let reply = scenario.execute(op);
                sweep.handle_input(Input::Queue(id, reply), scenario.now).unwrap();
            }
            Output::Plan(plan) => break plan,
            _ => {}
        }
    };
    assert!(plan.needs_confirmation());
    // The host slept for an hour, and the moments stood still.
    let leapt = Duration::from_millis(super::scenario::START) + Duration::from_secs(3_600);
    sweep.handle_input(Input::Clock(WallClock::new(leapt)), scenario.now).unwrap();
    sweep.handle_input(Input::Confirm, scenario.now).unwrap();
    let report = loop {
        match sweep.poll_output() {
            Output::Finished(report) => break report,
            Output::Queue(_, op) => panic!("{op:?}"),
            _ => {}
        }
    };
    assert_eq!((report.end, report.left_to_expire), (Ended::NotConfirmed, 0));
}

#[test]
fn pauses_grow_and_respect_what_the_server_asks_for() {
    let mut scenario = with_letters(1);
    let mut failures = 3;
    scenario.fate = Box::new(move |_, op| match op {
        QueueOp::GetQueue { .. } if failures > 0 => {
            failures -= 1;
            Fate::Refused(FaultKind::TooManyRequests)
        }
        _ => Fate::Executed,
    });
    let report = scenario.run(requeue(Requeue::new()));
    assert_eq!((report.posted, report.end), (1, Ended::Done));
    assert!(scenario.waits.contains(&crate::admin::Timer::Retry));
}

#[test]
fn a_reply_that_was_not_requested_is_a_misuse() {
    let scenario = with_letters(1);
    let mut sweep = scenario.start(requeue(Requeue::new()));
    sweep.handle_input(Input::Tick, scenario.now).unwrap();
    let Output::Queue(id, _) = sweep.poll_output() else { panic!() };
    let wrong = Input::Queue(id, Ok(QueueReply::Cleared));
    assert!(sweep.handle_input(wrong, scenario.now).is_err());
    let fault = || Err(Fault::new(FaultKind::Unauthorized));
    assert!(sweep.handle_input(Input::Queue(id, fault()), scenario.now).is_ok());
    assert!(sweep.handle_input(Input::Queue(id, fault()), scenario.now).is_err());
    assert!(matches!(sweep.poll_output(), Output::Finished(_)));
}
