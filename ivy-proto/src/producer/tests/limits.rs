//! Calls with a time limit.

use std::time::Duration;

use super::scenario::*;
use crate::event::Event;
use crate::id::MessageId;
use crate::producer::{Call, Input, ProducerConfig, SendError, Timer, WaitedFor};
use crate::queue::FaultKind;

const SECOND: Duration = Duration::from_secs(1);

fn within(limit: Duration, call: Call) -> Call {
    Call { within: Some(limit), ..call }
}

/// A producer whose queue has not replied to its only post yet.
fn busy(config: ProducerConfig) -> (Scenario, RequestedPost) {
    let mut scenario = Scenario::new(config.with_posts_in_flight(1));
    scenario.call(call(99));
    let post = scenario.only_post();
    (scenario, post)
}

#[test]
fn a_call_that_waits_for_its_turn_at_the_limit_is_withdrawn_and_never_posted() {
    let (mut scenario, first) = busy(config());
    scenario.call(within(SECOND, call(1)));
    scenario.advance(SECOND - Duration::from_nanos(1));
    assert_eq!(scenario.deadline().unwrap().why, Timer::CallLimit(id(1)));
    scenario.advance(Duration::from_nanos(1));
    match &scenario.send_errors()[..] {
        [SendError::Withdrawn { within, waited_for: WaitedFor::Queue { fault: None } }] => {
            assert_eq!(*within, SECOND);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scenario.producer().pending.unsent(), 1);
    scenario.accept(&first);
    assert!(scenario.posts().is_empty());
    assert_eq!(scenario.deadline(), None);
}

#[test]
fn the_limit_of_a_call_includes_its_wait_for_room() {
    let (mut scenario, first) = busy(config().with_outbox(2));
    scenario.feed(Input::WaitingCalls(vec![within(SECOND, call(1)), call(2)]));
    scenario.advance(SECOND - Duration::from_nanos(1));
    assert_eq!(scenario.deadline().unwrap().why, Timer::CallLimit(id(1)));
    scenario.advance(Duration::from_nanos(1));
    match &scenario.send_errors()[..] {
        [SendError::Withdrawn { within, waited_for: WaitedFor::Queue { fault: None } }] => {
            assert_eq!(*within, SECOND);
        }
        other => panic!("{other:?}"),
    }
    scenario.accept(&first);
    let second = scenario.only_post();
    scenario.accept(&second);
    assert_eq!(scenario.sent_results().last().unwrap().0, id(2));
    assert!(scenario.posts().is_empty());
    assert_eq!(scenario.deadline(), None);
}

#[test]
fn a_withdrawn_call_leaves_the_others_of_its_batch() {
    let (mut scenario, first) = busy(config());
    scenario.feed(Input::Calls(vec![call(1), within(SECOND, call(2)), call(3)]));
    scenario.advance(SECOND);
    assert_eq!(scenario.sent_results(), [(id(2), Err("Withdrawn".to_owned()))]);
    scenario.accept(&first);
    let bodies = scenario.only_post().bodies;
    assert_eq!(bodies.len(), 2);
    assert!(bodies.iter().all(|body| !body.contains(&id(2).to_string())), "{bodies:?}");
}

#[test]
fn a_call_that_waits_for_a_repetition_at_the_limit_is_withdrawn_with_the_last_failure() {
    let mut scenario = Scenario::new(config());
    scenario.call(within(SECOND, call(1)));
    let post = scenario.only_post();
    let busy = fault(FaultKind::TooManyRequests).with_retry_after(Duration::from_secs(20));
    scenario.fail(&post, busy);
    assert_eq!(scenario.reach_deadline(), Timer::CallLimit(id(1)));
    match &scenario.send_errors()[..] {
        [
            error @ SendError::Withdrawn {
                waited_for: WaitedFor::Queue { fault: Some(fault) }, ..
            },
        ] => {
            assert_eq!(fault.kind(), FaultKind::TooManyRequests);
            assert!(error.to_string().contains("limits the rate of requests"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    scenario.advance(Duration::from_secs(60));
    assert!(scenario.posts().is_empty());
}

#[test]
fn a_call_that_is_under_way_at_the_limit_may_be_sent_and_gets_its_result() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.call(within(SECOND, call_with_handle(1)));
    let post = scenario.only_post();
    assert_eq!(scenario.reach_deadline(), Timer::CallLimit(id(1)));
    assert_eq!(scenario.only_sent(), Err("NoReply".to_owned()));
    scenario.accept(&post);
    assert_eq!(scenario.sent_results(), []);
    scenario.notice(1, &done());
    assert_eq!(scenario.results().len(), 1);
    assert_eq!(scenario.deadline(), None);
}

#[test]
fn a_call_that_was_under_way_at_the_limit_is_not_sent_again() {
    for kind in [FaultKind::Unreachable, FaultKind::ReplyLost, FaultKind::Refused] {
        let mut scenario = Scenario::new(config());
        scenario.call(within(SECOND, call(1)));
        let post = scenario.only_post();
        scenario.advance(SECOND);
        assert_eq!(scenario.only_sent(), Err("NoReply".to_owned()));
        scenario.fail(&post, fault(kind));
        scenario.advance(Duration::from_secs(60));
        assert!(scenario.posts().is_empty(), "{kind:?}");
        assert_eq!(scenario.sent_results(), [], "{kind:?}");
        let failed = |event: &Event| matches!(event, Event::SendFailed { .. });
        assert!(!scenario.events().iter().any(failed), "its failure was reported already");
    }
}

#[test]
fn a_queue_whose_calls_were_all_abandoned_is_paused_as_after_any_failure() {
    let mut scenario = Scenario::new(config());
    scenario.call(within(SECOND, call(1)));
    let post = scenario.only_post();
    scenario.advance(SECOND);
    scenario.fail(&post, fault(FaultKind::ReplyLost));
    scenario.call(call(2));
    assert!(scenario.posts().is_empty());
    assert_eq!(scenario.reach_deadline(), Timer::Resend(call(1).queue));
    scenario.only_post();
}

#[test]
fn a_call_whose_reply_was_lost_before_the_limit_may_be_sent() {
    let mut scenario = Scenario::new(config());
    scenario.call(within(SECOND, call(1)));
    let post = scenario.only_post();
    let lost = fault(FaultKind::ReplyLost).with_retry_after(Duration::from_secs(20));
    scenario.fail(&post, lost);
    scenario.advance(SECOND);
    assert_eq!(scenario.only_sent(), Err("NoReply".to_owned()));
    scenario.advance(Duration::from_secs(60));
    assert!(scenario.posts().is_empty());
}

#[test]
fn a_batch_that_was_refused_is_split_without_the_calls_that_were_abandoned() {
    let mut scenario = Scenario::new(config());
    scenario.feed(Input::Calls(vec![call(1), within(SECOND, call(2)), call(3)]));
    let post = scenario.only_post();
    scenario.advance(SECOND);
    scenario.fail(&post, fault(FaultKind::Refused));
    let halves = scenario.posts();
    let sizes: Vec<_> = halves.iter().map(|half| half.bodies.len()).collect();
    assert_eq!(sizes, [1, 1]);
    for half in &halves {
        assert!(!half.bodies[0].contains(&id(2).to_string()));
    }
}

#[test]
fn a_half_of_a_refused_batch_is_withdrawn_too() {
    let mut scenario = Scenario::new(config().with_posts_in_flight(1));
    scenario.feed(Input::Calls(vec![call(1), within(SECOND, call(2))]));
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::Refused));
    let half = scenario.only_post();
    scenario.advance(SECOND);
    assert_eq!(scenario.sent_results(), [(id(2), Err("Withdrawn".to_owned()))]);
    scenario.accept(&half);
    assert!(scenario.posts().is_empty());
    scenario.call(call(3));
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn a_call_that_waits_for_the_subscription_at_the_limit_is_withdrawn() {
    let mut scenario = Scenario::new(config_with_notifier());
    scenario.call(within(SECOND, call_with_handle(1)));
    assert_eq!(scenario.reach_deadline(), Timer::CallLimit(id(1)));
    match &scenario.send_errors()[..] {
        [SendError::Withdrawn { waited_for: WaitedFor::Subscription { fault: None }, .. }] => {}
        other => panic!("{other:?}"),
    }
    scenario.feed(Input::Subscribed);
    assert!(scenario.posts().is_empty());
    assert_eq!(scenario.deadline(), None);
}

#[test]
fn a_limit_replaces_the_usual_wait_for_the_subscription() {
    let mut scenario = Scenario::new(config_with_notifier());
    scenario.call(within(Duration::from_secs(15), call_with_handle(1)));
    scenario.advance(Duration::from_secs(1));
    scenario.call(call_with_handle(2));
    scenario.advance(Duration::from_secs(10));
    assert_eq!(scenario.sent_results(), [(id(2), Err("NotifierUnavailable".to_owned()))]);
    scenario.advance(Duration::from_secs(4));
    assert_eq!(scenario.sent_results(), [(id(1), Err("Withdrawn".to_owned()))]);
}

#[test]
fn the_limit_of_a_call_comes_before_that_of_the_configuration() {
    let (mut scenario, _) = busy(config().with_within(Some(SECOND)));
    scenario.feed(Input::Calls(vec![call(1), within(3 * SECOND, call(2))]));
    scenario.advance(SECOND);
    let ended: Vec<_> = scenario.sent_results().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ended, [id(1), id(99)]);
    scenario.advance(2 * SECOND);
    assert_eq!(scenario.sent_results(), [(id(2), Err("Withdrawn".to_owned()))]);
}

#[test]
fn a_call_that_is_sent_in_time_has_no_limit_any_more() {
    let mut scenario = Scenario::new(config());
    scenario.call(within(SECOND, call(1)));
    let post = scenario.only_post();
    assert_eq!(scenario.deadline().unwrap().why, Timer::CallLimit(id(1)));
    scenario.accept(&post);
    assert_eq!(scenario.only_sent(), Ok(MessageId::new("0")));
    assert_eq!(scenario.deadline(), None);
}

#[test]
fn a_call_whose_limit_passed_while_the_driver_was_late_is_not_posted() {
    let mut scenario = Scenario::new(config());
    scenario.call(within(SECOND, call(1)));
    let post = scenario.only_post();
    scenario.fail(&post, fault(FaultKind::Unreachable));
    // The repetition was due first.
    assert!(matches!(scenario.deadline().unwrap().why, Timer::Resend(_)));
    scenario.wake_late(2 * SECOND);
    assert_eq!(scenario.only_sent(), Err("Withdrawn".to_owned()));
    assert!(scenario.posts().is_empty());
}

#[test]
fn calls_that_were_abandoned_count_until_the_queue_replies() {
    let mut scenario = Scenario::new(config().with_outbox(2));
    scenario.feed(Input::Calls(vec![within(SECOND, call(1)), within(SECOND, call(2))]));
    let post = scenario.only_post();
    scenario.advance(SECOND);
    scenario.sent_results();
    scenario.call(call(3));
    assert_eq!(scenario.only_sent(), Err("Full".to_owned()));
    scenario.accept(&post);
    scenario.call(call(3));
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn a_drained_producer_does_not_wait_for_calls_that_were_abandoned() {
    let mut scenario = Scenario::new(config());
    scenario.call(within(SECOND, call(1)));
    scenario.feed(Input::Drain { limit: Duration::from_secs(9) });
    scenario.advance(SECOND);
    assert_eq!(scenario.only_sent(), Err("NoReply".to_owned()));
    assert!(scenario.has_finished());
}

#[test]
fn the_longest_limit_is_none() {
    let mut scenario = Scenario::new(config());
    scenario.call(within(Duration::MAX, call(1)));
    scenario.advance(Duration::from_secs(1_000_000));
    assert_eq!(scenario.sent_results(), []);
}
