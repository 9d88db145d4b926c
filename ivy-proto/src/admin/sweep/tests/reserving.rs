//! What a sweep reserves, shows and releases.

use std::collections::VecDeque;
use std::time::Duration;

use super::scenario::{
    Answer, Scenario, dead, is_release, is_reserve, is_touch, letter, name, task,
};
use crate::admin::{
    CannotSweep, Ended, Filter, Input, Obstacle, Output, Requeue, SearchText, Sweep, SweepConfig,
    Truncated,
};
use crate::queue::{Body, Capabilities, FaultKind, Lease, QueueOp};
use crate::wire::{Codec, DeadLetterReason};
use crate::{TaskId, WallClock};

fn look() -> SweepConfig {
    SweepConfig::look(name("mail.dead"))
}

fn requeue() -> SweepConfig {
    SweepConfig::requeue(name("mail.dead"), Requeue::new())
}

#[test]
fn a_look_shows_all_messages_and_changes_nothing() {
    let mut scenario = Scenario::new();
    let letters: Vec<Body> = (0..150).map(|number| dead("mail.send", number)).collect();
    scenario.post("mail.dead", letters.clone());
    let report = scenario.run(look());
    assert_eq!((report.looked_at, report.matched, report.released), (150, 150, 150));
    assert_eq!((report.end, report.left_to_expire), (Ended::Done, 0));
    assert_eq!(scenario.rows.len(), 150);
    assert_eq!(scenario.plan.as_ref().unwrap().processed, 0);
    let texts: Vec<&str> = letters.iter().map(Body::as_str).collect();
    assert_eq!(scenario.bodies("mail.dead"), texts[..100]);
    assert_eq!(scenario.count(is_reserve), 2);
}

#[test]
fn a_filter_selects_rows_and_the_plan_counts_them() {
    let mut scenario = Scenario::new();
    scenario.answer = Answer::Cancel;
    scenario.post("mail.dead", (0..4).map(|number| dead("mail.send", number)));
    scenario.post("mail.dead", [dead("sms.send", 4), Body::new("<html>")]);
    let filter = Filter::new().with_task("mail.*".parse().unwrap());
    scenario.run(requeue().with_filter(filter));
    let plan = scenario.plan.unwrap();
    assert_eq!((plan.size, plan.looked_at, plan.selected, plan.messages), (Some(6), 6, 4, 4));
    assert_eq!(plan.targets.into_iter().collect::<Vec<_>>(), [(name("mail"), 4)]);
    let reasons = [(Some(DeadLetterReason::RetriesExhausted), 4)];
    assert_eq!(plan.reasons.into_iter().collect::<Vec<_>>(), reasons);
    assert_eq!(scenario.rows.len(), 4);
}

#[test]
fn a_message_that_cannot_be_requeued_is_shown_with_the_reason() {
    let mut scenario = Scenario::new();
    let sealed = letter(1, Body::new("$ivy2$k1$AAAA"));
    scenario.post("mail.dead", [sealed.to_body(), Body::new("<html>")]);
    let report = scenario.run(requeue());
    let obstacles: Vec<_> = scenario.rows.iter().map(|row| row.obstacle).collect();
    let expected = [DeadLetterReason::BadFrame, DeadLetterReason::BadJson];
    assert_eq!(obstacles, expected.map(|reason| Some(Obstacle::Unreadable(reason))));
    let plan = scenario.plan.take().unwrap();
    assert!(!plan.needs_confirmation() && plan.processed == 0);
    assert_eq!((report.posted, report.refused, report.is_partial()), (0, 2, true));
    assert_eq!(scenario.size("mail.dead"), 2);
}

#[test]
fn copies_of_one_message_are_one_row_and_letters_of_one_task_are_counted() {
    let mut scenario = Scenario::new();
    scenario.answer = Answer::Cancel;
    let again = letter(2, task("mail.send", 1)).to_body();
    scenario.post("mail.dead", [dead("mail.send", 1), dead("mail.send", 1), again]);
    scenario.run(requeue());
    let rows: Vec<_> = scenario.rows.iter().map(|row| (row.copies, row.letters_of_task)).collect();
    assert_eq!(rows, [(2, 2), (1, 2)]);
}

#[test]
fn a_letter_that_names_another_ones_origin_is_not_a_copy_of_it() {
    let mut scenario = Scenario::new();
    scenario.answer = Answer::Cancel;
    let forged = letter(1, task("mail.send", 2)).to_body();
    scenario.post("mail.dead", [forged, dead("mail.send", 1)]);
    scenario.run(requeue());
    assert_eq!(scenario.rows.len(), 2);
}

#[test]
fn a_plan_without_an_answer_in_time_changes_nothing() {
    // If there is no answer, all leases have ended.
    for (answer, end, released) in
        [(Answer::Never, Ended::NotConfirmed, 0), (Answer::Cancel, Ended::Cancelled, 3)]
    {
        let mut scenario = Scenario::new();
        scenario.answer = answer;
        scenario.post("mail.dead", (0..3).map(|number| dead("mail.send", number)));
        let before = scenario.bodies("mail.dead");
        let report = scenario.run(requeue());
        assert_eq!((report.end, report.released), (end, released));
        assert_eq!(scenario.bodies("mail.dead"), before);
        assert_eq!(scenario.size("mail"), 0);
    }
}

#[test]
fn an_answer_counts_for_five_minutes_although_the_leases_have_ended() {
    for (seconds, end) in [(299, Ended::Done), (301, Ended::NotConfirmed)] {
        let mut scenario = Scenario::new();
        scenario.answer = Answer::After(seconds);
        scenario.post("mail.dead", [dead("mail.send", 1)]);
        let report = scenario.run(requeue());
        assert_eq!((report.end, report.posted), (end.clone(), usize::from(end == Ended::Done)));
        assert_eq!(scenario.count(is_touch), 0);
    }
}

#[test]
fn after_a_slow_answer_only_what_was_agreed_to_is_changed() {
    let mut scenario = Scenario::new();
    scenario.answer = Answer::After(200);
    scenario.post("mail.dead", (0..250).map(|number| dead("mail.send", number)));
    scenario.post("mail.dead", [dead("sms.send", 1)]);
    // It arrives during the question.
    scenario.arrives_at_wait = Some(dead("mail.send", 1_000));
    let filter = Filter::new().with_task("mail.*".parse().unwrap());
    let report = scenario.run(requeue().with_filter(filter));
    assert_eq!((report.posted, report.deleted, report.looked_at), (250, 250, 251));
    assert_eq!((report.left_to_expire, report.is_partial()), (0, false));
    assert_eq!(scenario.count(is_touch), 0);
    let left = [dead("sms.send", 1), dead("mail.send", 1_000)];
    assert_eq!(scenario.bodies("mail.dead"), left.map(|body| body.as_str().to_owned()));
}

#[test]
fn letters_that_are_larger_than_their_queue_returns_are_released_and_counted() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..3).map(|number| dead("mail.send", number)));
    scenario.returns_too_large = 2;
    let report = scenario.run(requeue());
    assert_eq!((report.looked_at, report.too_large, report.posted), (3, 2, 1));
    assert_eq!((report.not_looked_at, report.is_partial(), report.left_to_expire), (0, false, 0));
    let plan = scenario.plan.take().unwrap();
    assert_eq!(plan.obstacles.into_iter().collect::<Vec<_>>(), [(Obstacle::NotReturned, 2)]);
    assert!(report.to_string().contains("2 not read because they are larger"), "{report}");
    assert_eq!(scenario.bodies("mail.dead").len(), 2);
}

#[test]
fn letters_that_are_larger_than_their_queue_returns_are_deleted_if_the_filter_selects_them() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..3).map(|number| dead("mail.send", number)));
    scenario.returns_too_large = 2;
    let config = SweepConfig::delete(name("mail.dead"));
    let report = scenario.run(config.with_filter(Filter::new().too_large()));
    assert_eq!((report.looked_at, report.too_large, report.deleted), (3, 0, 2));
    assert!(!report.is_partial(), "{report}");
    assert_eq!(scenario.bodies("mail.dead"), [dead("mail.send", 2).as_str()]);
}

#[test]
fn messages_that_cannot_be_compared_with_the_filter_are_counted() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", [dead("sms.send", 1), Body::new("$ivy2$k1$AAAA")]);
    let filter = Filter::new().with_task("mail.*".parse().unwrap());
    let report = scenario.run(requeue().with_filter(filter));
    assert_eq!((report.looked_at, report.matched, report.not_compared), (2, 0, 1));
    let plan = scenario.plan.take().unwrap();
    assert_eq!(plan.obstacles.into_iter().collect::<Vec<_>>(), [(Obstacle::NotCompared, 1)]);
    assert!(report.to_string().contains("1 not compared because"), "{report}");
}

#[test]
fn a_plan_counts_the_letters_and_what_they_are_copies_of() {
    let mut scenario = Scenario::new();
    let letters: Vec<Body> = (0..10).map(|number| dead("mail.send", number)).collect();
    scenario.post("mail.dead", letters.clone());
    scenario.post("mail.dead", letters);
    scenario.post("mail.dead", (10..15).map(|number| dead("sms.send", number)));
    let filter = Filter::new().with_task("mail.*".parse().unwrap());
    let report = scenario.run(SweepConfig::delete(name("mail.dead")).with_filter(filter));
    let plan = scenario.plan.take().unwrap();
    assert_eq!((plan.looked_at, plan.processed, plan.processed_with_copies), (25, 10, 20));
    assert_eq!(plan.tasks.values().sum::<usize>(), 20);
    assert_eq!(plan.reasons.values().sum::<usize>(), 20);
    assert_eq!(report.deleted, plan.processed_with_copies);
}

#[test]
fn all_messages_are_released_the_newest_first() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..250).map(|number| dead("mail.send", number)));
    let before = scenario.bodies("mail.dead");
    let report = scenario.run(look());
    assert_eq!((report.released, report.left_to_expire, report.leases_end_within), (250, 0, None));
    let QueueOp::Release { receipt: first, .. } =
        scenario.requests.iter().find(|op| is_release(op)).unwrap()
    else {
        panic!()
    };
    let newest = first.message.clone();
    assert_eq!(newest, scenario.rows.last().unwrap().message);
    assert_eq!(scenario.bodies("mail.dead"), before);
    // The next command sees all of them.
    assert_eq!(scenario.run_again(requeue()).posted, 250);
}

#[test]
fn what_is_only_looked_at_is_leased_for_a_short_time() {
    let lease_of = |config| {
        let mut scenario = Scenario::new();
        scenario.post("mail.dead", [dead("mail.send", 1)]);
        scenario.run(config);
        let reserve = scenario.requests.iter().find(|op| is_reserve(op)).unwrap();
        let QueueOp::Reserve { lease, .. } = reserve else { panic!() };
        *lease
    };
    assert_eq!(lease_of(look()), Duration::from_secs(120));
    assert_eq!(lease_of(requeue().with_plan_only()), Duration::from_secs(120));
    assert_eq!(lease_of(requeue()), Duration::from_secs(60));
}

#[test]
fn a_sweep_that_only_plans_changes_nothing_and_needs_no_answer() {
    for config in [requeue(), SweepConfig::delete(name("mail.dead"))] {
        let mut scenario = Scenario::new();
        scenario.post("mail.dead", (0..3).map(|number| dead("mail.send", number)));
        let before = scenario.bodies("mail.dead");
        let report = scenario.run(config.with_plan_only());
        let plan = scenario.plan.take().unwrap();
        assert_eq!((plan.processed, plan.needs_confirmation()), (3, false));
        assert_eq!((report.end, report.released), (Ended::Done, 3));
        assert_eq!(scenario.bodies("mail.dead"), before);
    }
}

#[test]
fn releases_are_sent_together_if_the_backend_executes_them_in_order() {
    let mut scenario = Scenario::new();
    scenario.backend.admin.pipelined_releases = 10;
    scenario.post("mail.dead", (0..30).map(|number| dead("mail.send", number)));
    let mut sweep = scenario.start(look());
    let mut most = 0;
    sweep.handle_input(Input::Tick, scenario.now).unwrap();
    let mut in_flight = VecDeque::new();
    let report = loop {
        match sweep.poll_output() {
            Output::Queue(id, op) => {
                in_flight.push_back((id, scenario.execute(op)));
                most = most.max(in_flight.len());
            }
            Output::Wait(_) => {
                let (id, reply) = in_flight.pop_front().unwrap();
                sweep.handle_input(Input::Queue(id, reply), scenario.now).unwrap();
            }
            Output::Finished(report) => break report,
            _ => {}
        }
    };
    assert_eq!((most, report.released, report.left_to_expire), (10, 30, 0));
    assert_eq!(scenario.bodies("mail.dead")[0], dead("mail.send", 0).as_str());
}

#[test]
fn a_limit_ends_the_look_and_is_reported() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..30).map(|number| dead("mail.send", number)));
    let report = scenario.run(look().with_limit(20));
    assert_eq!((report.looked_at, report.truncated), (20, Some(Truncated::Limit)));
    // That is what the operator requested.
    assert_eq!((report.not_looked_at, report.is_partial()), (0, false));
    let report = scenario.run_again(look().with_limit(30));
    assert_eq!((report.looked_at, report.truncated), (30, None));
}

#[test]
fn ceilings_of_requests_memory_and_time_end_the_look_and_are_reported() {
    type Lower = fn(&mut Sweep);
    let ceilings: [(Lower, Truncated, usize); 3] = [
        (|sweep| sweep.limits.requests = 3, Truncated::Requests, 200),
        (|sweep| sweep.limits.bytes = 1_000, Truncated::Memory, 100),
        // Each request takes ten milliseconds.
        (|sweep| sweep.limits.looking = Duration::from_millis(15), Truncated::Time, 200),
    ];
    for (lower, why, looked_at) in ceilings {
        let mut scenario = Scenario::new();
        scenario.answer = Answer::Cancel;
        scenario.post("mail.dead", (0..300).map(|number| dead("mail.send", number)));
        let mut sweep = scenario.start(requeue());
        lower(&mut sweep);
        let report = scenario.drive(&mut sweep);
        assert_eq!((report.truncated, report.looked_at), (Some(why), looked_at));
        assert_eq!(report.not_looked_at, 300 - looked_at as u64);
        assert_eq!(scenario.plan.unwrap().truncated, Some(why));
    }
}

#[test]
fn messages_that_others_hold_are_not_waited_for_and_reported() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", (0..3).map(|number| dead("mail.send", number)));
    let (queue, lease) = (name("mail.dead"), Duration::from_secs(60));
    let held = QueueOp::Reserve { queue, count: 2, lease, wait: Duration::ZERO };
    scenario.execute(held).unwrap();
    let report = scenario.run(look());
    assert_eq!((report.looked_at, report.truncated, report.not_looked_at), (1, None, 2));
    assert!(report.is_partial() && report.to_string().contains("2 more were not looked at"));
    let report = scenario.run_again(look().with_limit(1));
    assert_eq!((report.not_looked_at, report.is_partial()), (0, false));
}

#[test]
fn a_message_is_found_by_its_arguments_error_and_ids() {
    let text = |text| Filter::new().with_text(SearchText::new(text).unwrap());
    let task_id = TaskId::from_random(1_u128.to_be_bytes()).to_string();
    for (filter, found) in [
        (text("[2"), 1),
        (text("of luck"), 3),
        (Filter::new().with_id("2"), 1),
        (Filter::new().with_id(&task_id), 1),
        (Filter::new().with_attempts("<11".parse().unwrap()), 0),
        (Filter::new().not_requeued(), 3),
    ] {
        let mut scenario = Scenario::new();
        // The broker's own ids differ from those of the letters.
        scenario.post("mail", [Body::new("x")]);
        scenario.post("mail.dead", (1..4).map(|number| dead("mail.send", number)));
        let report = scenario.run(look().with_filter(filter.clone()));
        assert_eq!(report.matched, found, "{filter:?}");
    }
}

fn cannot(config: SweepConfig, change: impl FnOnce(&mut Capabilities)) -> CannotSweep {
    let mut backend = Capabilities::broker();
    change(&mut backend);
    Sweep::new(config, &backend, Codec::plain(), [1; 32], WallClock::default()).unwrap_err()
}

#[test]
fn a_backend_whose_leases_are_connections_is_refused() {
    let refused = cannot(look(), |backend| backend.lease = Lease::Connection);
    let CannotSweep::Unsupported(fault) = &refused else { panic!("{refused}") };
    assert!(matches!(fault.kind(), FaultKind::Unsupported { .. }));
}

#[test]
fn a_look_that_counts_as_a_delivery_needs_permission() {
    let filter = || Filter::new().with_task("mail.*".parse().unwrap());
    let config = || SweepConfig::transfer(name("mail"), name("post"), Requeue::new());
    let counts = |backend: &mut Capabilities| backend.admin.release_counts = true;
    let refused = cannot(config().with_filter(filter()), counts);
    assert!(matches!(refused, CannotSweep::Unsupported(_)), "{refused}");
    let mut backend = Capabilities::broker();
    counts(&mut backend);
    let permitted = |config| {
        Sweep::new(config, &backend, Codec::plain(), [1; 32], WallClock::default()).is_ok()
    };
    assert!(permitted(config().with_filter(filter()).with_force()));
    // Nothing is released if everything is moved.
    assert!(permitted(config()));
    // No worker serves dead letters.
    assert!(permitted(requeue().with_filter(filter())));
}

#[test]
fn contradictory_sweeps_are_refused() {
    let to = |queue: &str| Requeue::new().to(name(queue));
    let transfer = |from, to| SweepConfig::transfer(name(from), name(to), Requeue::new());
    let since = Filter::new().with_reasons([DeadLetterReason::Fatal]);
    let late = Requeue::new().with_delay(Duration::from_secs(1_000_000));
    let refused = |config| cannot(config, |_| {});
    assert!(matches!(refused(SweepConfig::look(name("mail"))), CannotSweep::NotDeadLetters(_)));
    assert!(matches!(
        refused(transfer("mail", "post").with_filter(since)),
        CannotSweep::FilterOfDeadLetters
    ));
    assert!(matches!(refused(transfer("mail", "mail")), CannotSweep::SameQueue(_)));
    for config in [
        transfer("mail", "mail.dead"),
        transfer("mail.dead", "mail"),
        SweepConfig::requeue(name("mail.dead"), to("post.dead")),
    ] {
        assert!(matches!(refused(config), CannotSweep::TasksAndDeadLetters { .. }));
    }
    assert!(matches!(
        refused(SweepConfig::requeue(name("mail.dead"), late)),
        CannotSweep::DelayTooLong { .. }
    ));
}

#[test]
fn a_queue_that_does_not_exist_is_reported_as_that() {
    let report = Scenario::new().run(look());
    let Ended::Failed(fault) = report.end else { panic!("{report}") };
    assert_eq!(fault.kind(), FaultKind::NoQueue);
}

#[test]
fn bodies_are_shown_only_to_their_operator() {
    let mut scenario = Scenario::new();
    scenario.post("mail.dead", [dead("mail.send", 7)]);
    scenario.run(look());
    let shown = format!("{:?}{:?}", scenario.rows, scenario.plan);
    assert!(!shown.contains("args\":[7]") && shown.contains("mail.send"), "{shown}");
}
