//! What the producer counts.

use std::time::Duration;

use super::scenario::*;
use crate::metrics::{ResultOutcome, ResultTimes, SendCounts, SendOutcome, Snapshot, TaskKey};
use crate::name::QueueName;
use crate::producer::Input;
use crate::queue::FaultKind;

fn sends(snapshot: &Snapshot) -> SendCounts {
    let queue = QueueName::new(QUEUE).unwrap();
    snapshot.sent[&TaskKey { queue, task: call(1).task }].clone()
}

fn results(snapshot: &Snapshot) -> ResultTimes {
    snapshot.results[&call(1).task].clone()
}

#[test]
fn sends_are_counted_by_their_outcome() {
    for (kind, outcome) in
        [(FaultKind::Refused, SendOutcome::Refused), (FaultKind::ReplyLost, SendOutcome::Unknown)]
    {
        let mut scenario = Scenario::new(config());
        scenario.call(call_once(1));
        let post = scenario.only_post();
        scenario.fail(&post, fault(kind));
        assert_eq!(sends(&scenario.producer().metrics()).of(outcome), 1, "{kind:?}");
    }
    let mut scenario = Scenario::new(config());
    scenario.feed(Input::Calls(calls(3)));
    assert_eq!(scenario.producer().metrics().outbox_calls, 3);
    let post = scenario.only_post();
    scenario.accept(&post);
    assert_eq!(sends(&scenario.producer().metrics()).of(SendOutcome::Sent), 3);
    assert_eq!(scenario.producer().metrics().outbox_calls, 0);
}

#[test]
fn a_call_without_a_notifier_counts_as_not_sent() {
    let mut scenario = Scenario::new(config());
    scenario.call(call_with_handle(1));
    assert_eq!(sends(&scenario.producer().metrics()).of(SendOutcome::NotSent), 1);
}

#[test]
fn resends_are_counted() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    scenario.fail_and_pause(FaultKind::ReplyLost);
    let snapshot = scenario.producer().metrics();
    assert_eq!(snapshot.resends[&QueueName::new(QUEUE).unwrap()], 1);
}

#[test]
fn waits_for_results_are_timed_by_their_outcome() {
    const SECOND: Duration = Duration::from_secs(1);
    for (end, outcome) in [
        (Some(done()), ResultOutcome::Ok),
        (Some(failed()), ResultOutcome::Failed),
        (None, ResultOutcome::TimedOut),
    ] {
        let mut scenario = Scenario::sent(call_with_handle(1));
        assert_eq!(scenario.producer().metrics().calls_waiting, 1);
        let before = results(&scenario.producer().metrics()).of(outcome).clone();
        scenario.advance(SECOND);
        match end {
            Some(end) => scenario.notice(1, &end),
            None => scenario.feed(Input::Forget(id(1))),
        }
        let after = scenario.producer().metrics();
        let times = results(&after).of(outcome).clone();
        assert_eq!(times.count() - before.count(), 1);
        assert_eq!(times.sum().saturating_sub(before.sum()), SECOND);
        assert_eq!(after.calls_waiting, 0);
    }
}
