//! How a producer subscribes, and the calls that wait for it.

use std::time::Duration;

use super::scenario::*;
use crate::event::{DegradedReason, Event, Part};
use crate::notify::{NotifyFault, NotifyFaultKind};
use crate::producer::{Input, SendError, Timer};

#[test]
fn nothing_is_subscribed_before_a_result_is_wanted() {
    let mut scenario = Scenario::new(config_with_notifier());
    scenario.call(call(1));
    assert!(scenario.subscribes().is_empty());
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn the_first_call_that_wants_a_result_subscribes_and_waits() {
    let mut scenario = Scenario::new(config_with_notifier());
    scenario.call(call_with_handle(1));
    let reply = scenario.reply_channel().as_str().to_owned();
    assert_eq!(scenario.subscribes(), [vec![reply, "ivy-notifier".to_owned()]]);
    assert!(scenario.posts().is_empty());
    scenario.feed(Input::Subscribed);
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn without_node_peers_only_the_reply_channel_is_subscribed() {
    let mut scenario = Scenario::new(config_with_notifier().with_node_peers(false));
    scenario.call(call_with_handle(1));
    let reply = scenario.reply_channel().as_str().to_owned();
    assert_eq!(scenario.subscribes(), [[reply]]);
}

#[test]
fn the_reply_channel_is_the_prefix_and_22_characters_derived_from_the_seed() {
    let channel = Scenario::new(config_with_notifier()).reply_channel();
    let random = channel.as_str().strip_prefix("ivy-notifier.r.").unwrap();
    assert_eq!(random.len(), 22);
    assert_eq!(Scenario::new(config_with_notifier()).reply_channel(), channel);
}

#[test]
fn there_is_one_subscription_and_the_calls_that_waited_for_it_are_batched() {
    let mut scenario = Scenario::new(config_with_notifier());
    scenario.call(call_with_handle(1));
    scenario.call(call_with_handle(2));
    assert_eq!(scenario.subscribes().len(), 1);
    scenario.feed(Input::Subscribed);
    assert_eq!(scenario.post_sizes(), [2]);
}

#[test]
fn a_call_without_a_reply_does_not_wait_for_the_subscription() {
    let mut scenario = Scenario::new(config_with_notifier());
    scenario.feed(Input::Calls(vec![call_with_handle(1), call(2)]));
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn without_a_subscription_in_time_nothing_is_sent() {
    let mut scenario = Scenario::new(config_with_notifier());
    scenario.call(call_with_handle(1));
    scenario.advance(Duration::from_secs(4));
    scenario.call(call_with_handle(2));
    assert_eq!(scenario.reach_deadline(), Timer::SubscriptionLimit(id(1)));
    assert!(matches!(
        &scenario.send_errors()[..],
        [SendError::NotifierUnavailable { fault: None }]
    ));
    assert_eq!(scenario.reach_deadline(), Timer::SubscriptionLimit(id(2)));
    scenario.feed(Input::Subscribed);
    assert!(scenario.posts().is_empty());
}

#[test]
fn the_error_of_a_call_that_waited_too_long_contains_the_last_failure() {
    let mut scenario = Scenario::new(config_with_notifier());
    scenario.call(call_with_handle(1));
    scenario.feed(Input::SubscriptionLost(connection_lost()));
    scenario.advance(Duration::from_secs(10));
    match &scenario.send_errors()[..] {
        [SendError::NotifierUnavailable { fault: Some(fault) }] => {
            assert_eq!(fault.kind(), NotifyFaultKind::ConnectionLost);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_lost_subscription_is_repeated_indefinitely_with_growing_delays() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    for round in 0..20 {
        let start = scenario.now();
        scenario.feed(Input::SubscriptionLost(connection_lost()));
        assert_eq!(scenario.reach_deadline(), Timer::Subscribe);
        assert_eq!(scenario.subscribes().len(), 1);
        let ceiling = crate::Backoff::NOTIFIER.ceiling(round);
        assert!(scenario.now().since(start) <= ceiling, "{round}");
    }
}

#[test]
fn losing_the_subscription_and_its_recovery_are_reported_once() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    for _ in 0..5 {
        scenario.feed(Input::SubscriptionLost(connection_lost()));
        scenario.reach_deadline();
    }
    scenario.feed(Input::Subscribed);
    let events = scenario.events();
    let count = |expected: Event| events.iter().filter(|event| **event == expected).count();
    assert_eq!(
        count(Event::Degraded {
            part: Part::Notifier,
            why: DegradedReason::Notifier(connection_lost())
        }),
        1
    );
    assert_eq!(count(Event::Recovered { part: Part::Notifier }), 1);
    assert_eq!(count(Event::NotifierError { fault: connection_lost() }), 5);
}

/// A subscription that was lost ten times in a row, and has been up again for this long.
fn recovered_for(duration: Duration) -> Scenario {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    for _ in 0..10 {
        scenario.feed(Input::SubscriptionLost(connection_lost()));
        scenario.reach_deadline();
    }
    scenario.feed(Input::Subscribed);
    scenario.events();
    scenario.advance(duration);
    scenario
}

#[test]
fn after_ten_seconds_of_subscription_the_next_loss_counts_as_the_first() {
    let mut scenario = recovered_for(Duration::from_secs(10));
    let start = scenario.now();
    scenario.feed(Input::SubscriptionLost(connection_lost()));
    scenario.reach_deadline();
    assert!(scenario.now().since(start) <= Duration::from_millis(100));
    let why = DegradedReason::Notifier(connection_lost());
    assert!(scenario.events().contains(&Event::Degraded { part: Part::Notifier, why }));
}

#[test]
fn a_notifier_that_accepts_and_then_disconnects_is_tried_at_growing_intervals() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    let end = scenario.now() + Duration::from_secs(60);
    let mut rounds = 0;
    while scenario.now() < end {
        scenario.feed(Input::SubscriptionLost(connection_lost()));
        scenario.reach_deadline();
        scenario.feed(Input::Subscribed);
        rounds += 1;
    }
    assert!(rounds < 40, "{rounds}");
    let events = scenario.events();
    let count = |expected: Event| events.iter().filter(|event| **event == expected).count();
    let why = DegradedReason::Notifier(connection_lost());
    assert_eq!(count(Event::Degraded { part: Part::Notifier, why }), rounds);
    assert_eq!(count(Event::Recovered { part: Part::Notifier }), rounds);
}

#[test]
fn calls_made_while_the_subscription_is_down_wait_for_its_return() {
    let mut scenario = Scenario::subscribed(config_with_notifier());
    scenario.feed(Input::SubscriptionLost(connection_lost()));
    scenario.call(call_with_handle(1));
    assert!(scenario.posts().is_empty());
    scenario.reach_deadline();
    scenario.feed(Input::Subscribed);
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn a_notifier_that_refuses_the_credentials_is_not_waited_for() {
    let mut scenario = Scenario::new(config_with_notifier());
    scenario.call(call_with_handle(1));
    let refused = NotifyFault::new(NotifyFaultKind::Unauthorized);
    scenario.feed(Input::SubscriptionLost(refused));
    assert_eq!(scenario.only_sent(), Err("NotifierUnavailable".to_owned()));
    assert!(scenario.posts().is_empty());
}

#[test]
fn results_are_still_awaited_after_a_gap() {
    let mut scenario = Scenario::sent(call_with_handle(1));
    scenario.feed(Input::SubscriptionLost(connection_lost()));
    scenario.reach_deadline();
    scenario.feed(Input::Subscribed);
    scenario.notice(1, &done());
    assert_eq!(scenario.results().len(), 1);
}

#[test]
fn without_a_notifier_a_call_that_wants_a_result_is_refused() {
    let mut scenario = Scenario::new(config());
    scenario.call(call_with_handle(1));
    assert_eq!(scenario.only_sent(), Err("NoNotifier".to_owned()));
    scenario.call(call(2));
    assert_eq!(scenario.post_sizes(), [1]);
}

#[test]
fn unrequested_changes_of_the_subscription_are_ignored() {
    for mut scenario in [Scenario::new(config()), Scenario::new(config_with_notifier())] {
        scenario.feed(Input::Subscribed);
        scenario.feed(Input::SubscriptionLost(connection_lost()));
        assert!(scenario.outputs().is_empty());
        assert_eq!(scenario.deadline(), None);
    }
}
