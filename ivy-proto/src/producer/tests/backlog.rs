//! Calls that wait for room in the outbox.

use std::time::Duration;

use super::scenario::*;
use crate::id::{MessageId, TaskId};
use crate::producer::{Call, Input, ProducerConfig, ReplyTo};
use crate::queue::FaultKind;

/// Room for four calls, of which two may be waiting ones, and one post at a time.
fn small(config: ProducerConfig) -> ProducerConfig {
    config.with_outbox(4).with_posts_in_flight(1)
}

/// The calls that were sent.
fn sent(results: &[(TaskId, Result<MessageId, String>)]) -> Vec<TaskId> {
    results.iter().filter(|(_, result)| result.is_ok()).map(|(id, _)| *id).collect()
}

/// Accepts all posts until there are none. Returns how many messages each had.
fn accept_all(scenario: &mut Scenario) -> Vec<usize> {
    let mut sizes = Vec::new();
    loop {
        let posts = scenario.posts();
        if posts.is_empty() {
            return sizes;
        }
        for post in posts {
            sizes.push(post.bodies.len());
            scenario.accept(&post);
        }
    }
}

#[test]
fn calls_that_wait_are_all_sent_in_their_order_and_none_is_refused() {
    let mut scenario = Scenario::new(small(config()));
    scenario.feed(Input::WaitingCalls(calls(50)));
    let sizes = accept_all(&mut scenario);
    assert!(sizes.iter().all(|size| *size <= 2), "{sizes:?}");
    let expected: Vec<_> = (1..=50).map(id).collect();
    assert_eq!(sent(&scenario.sent_results()), expected);
    assert_eq!(scenario.deadline(), None);
}

#[test]
fn other_calls_find_room_beside_those_that_wait_and_are_refused_when_it_is_full() {
    let mut scenario = Scenario::new(small(config()));
    scenario.feed(Input::WaitingCalls(calls(50)));
    for number in [61, 62] {
        scenario.call(call(number));
        assert!(scenario.sent_results().is_empty());
    }
    scenario.call(call(63));
    assert_eq!(scenario.sent_results(), [(id(63), Err("Full".to_owned()))]);
}

#[test]
fn who_waited_first_is_first() {
    let mut scenario = Scenario::new(small(config()));
    scenario.feed(Input::WaitingCalls(calls(4)));
    scenario.feed(Input::WaitingCalls(vec![call(11), call(12)]));
    scenario.feed(Input::WaitingCalls(vec![call(21)]));
    accept_all(&mut scenario);
    assert_eq!(sent(&scenario.sent_results()), [1, 2, 3, 4, 11, 12, 21].map(id));
}

#[test]
fn waiting_calls_fail_like_others_while_the_queue_is_down() {
    let mut scenario = Scenario::new(small(config()).with_tries(2));
    scenario.feed(Input::WaitingCalls(calls(6)));
    let mut failed = Vec::new();
    for _ in 0..20 {
        for post in scenario.posts() {
            scenario.fail(&post, fault(FaultKind::Unreachable));
        }
        failed.extend(scenario.sent_results());
        if scenario.deadline().is_some() {
            scenario.reach_deadline();
        }
    }
    let expected: Vec<_> = (1..=6).map(|n| (id(n), Err("NotSent after 2".to_owned()))).collect();
    assert_eq!(failed, expected);
}

#[test]
fn refused_calls_leave_their_room_to_the_next() {
    let mut scenario = Scenario::new(small(config()));
    let result_wanted = |number| Call { reply: ReplyTo::Handle, ..call(number) };
    let mut calls: Vec<_> = (1..=10).map(result_wanted).collect();
    calls.push(call(11));
    scenario.feed(Input::WaitingCalls(calls));
    let sent = scenario.sent_results();
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|(_, result)| *result == Err("NoNotifier".to_owned())), "{sent:?}");
    assert_eq!(accept_all(&mut scenario), [1]);
}

#[test]
fn waiting_calls_beyond_the_limit_of_handles_are_refused() {
    let config = small(config_with_notifier()).with_waiting(3);
    let mut scenario = Scenario::subscribed(config);
    scenario.feed(Input::WaitingCalls((1..=5).map(call_with_handle).collect()));
    accept_all(&mut scenario);
    let refused = || Err("TooManyHandles".to_owned());
    let results = scenario.sent_results();
    assert_eq!(sent(&results), [1, 2, 3].map(id));
    assert!([4, 5].iter().all(|n| results.contains(&(id(*n), refused()))), "{results:?}");
}

#[test]
fn waiting_calls_wait_for_the_subscription_too() {
    let mut scenario = Scenario::new(small(config_with_notifier()));
    scenario.feed(Input::WaitingCalls((1..=5).map(call_with_handle).collect()));
    assert_eq!(scenario.subscribes().len(), 1);
    assert!(scenario.posts().is_empty());
    scenario.feed(Input::Subscribed);
    accept_all(&mut scenario);
    assert_eq!(sent(&scenario.sent_results()), [1, 2, 3, 4, 5].map(id));
}

#[test]
fn a_waiting_call_whose_handle_is_dropped_is_sent_without_a_reply() {
    let mut scenario = Scenario::subscribed(small(config_with_notifier()));
    scenario.feed(Input::WaitingCalls((1..=3).map(call_with_handle).collect()));
    scenario.feed(Input::Forget(id(3)));
    let first = scenario.only_post();
    scenario.accept(&first);
    let last = scenario.only_post();
    assert!(first.bodies[0].contains("reply") && !last.bodies[0].contains("reply"), "{last:?}");
    scenario.accept(&last);
    assert_eq!(sent(&scenario.sent_results()), [1, 2, 3].map(id));
    scenario.notice(3, &done());
    assert!(scenario.results().is_empty());
}

#[test]
fn an_id_that_waits_is_in_use() {
    let mut scenario = Scenario::new(small(config()));
    scenario.feed(Input::WaitingCalls(calls(5)));
    scenario.feed(Input::WaitingCalls(vec![call(1), call(5)]));
    scenario.call(call(5));
    let in_use = || Err("IdInUse".to_owned());
    assert_eq!(scenario.sent_results(), [1, 5, 5].map(|n| (id(n), in_use())));
}

#[test]
fn a_drain_sends_the_waiting_calls_and_accepts_no_more() {
    let mut scenario = Scenario::new(small(config()));
    scenario.feed(Input::WaitingCalls(calls(9)));
    scenario.feed(Input::Drain { limit: Duration::from_secs(30) });
    scenario.feed(Input::WaitingCalls(vec![call(20)]));
    assert_eq!(scenario.sent_results(), [(id(20), Err("Draining".to_owned()))]);
    accept_all(&mut scenario);
    assert_eq!(scenario.sent_results().len(), 9);
    assert!(scenario.has_finished());
}

#[test]
fn at_the_limit_of_a_drain_waiting_calls_are_refused() {
    let mut scenario = Scenario::new(small(config()));
    scenario.feed(Input::WaitingCalls(calls(5)));
    scenario.feed(Input::Drain { limit: Duration::from_secs(5) });
    scenario.advance(Duration::from_secs(5));
    let sent = scenario.sent_results();
    let draining = sent.iter().filter(|(_, result)| *result == Err("Draining".to_owned())).count();
    assert_eq!((sent.len(), draining), (5, 3), "{sent:?}");
    assert!(scenario.has_finished());
}
