//! How a producer drains.

use std::time::Duration;

use super::scenario::*;
use crate::misuse::Misuse;
use crate::producer::{Input, Timer};
use crate::queue::FaultKind;

const LIMIT: Duration = Duration::from_secs(30);

fn drain(scenario: &mut Scenario) {
    scenario.feed(Input::Drain { limit: LIMIT });
}

#[test]
fn a_producer_with_nothing_to_send_finishes_immediately() {
    let mut scenario = Scenario::sent(call_with_handle(1));
    drain(&mut scenario);
    assert!(scenario.has_finished());
    assert_eq!(scenario.deadline(), None);
}

#[test]
fn waiting_calls_are_sent_first() {
    let mut scenario = Scenario::new(config().with_posts_in_flight(1));
    scenario.call(call(1));
    let post = scenario.only_post();
    scenario.call(call(2));
    drain(&mut scenario);
    scenario.accept(&post);
    assert!(!scenario.has_finished());
    let post = scenario.only_post();
    scenario.accept(&post);
    assert!(scenario.has_finished());
    assert_eq!(scenario.sent_results().len(), 2);
}

#[test]
fn failed_posts_are_repeated_while_draining() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    drain(&mut scenario);
    scenario.fail_and_pause(FaultKind::Unreachable);
    let post = scenario.only_post();
    scenario.accept(&post);
    assert!(scenario.has_finished());
}

#[test]
fn no_more_calls_are_accepted() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    drain(&mut scenario);
    scenario.call(call(2));
    assert_eq!(scenario.sent_results(), [(id(2), Err("Draining".to_owned()))]);
}

#[test]
fn at_the_limit_each_call_receives_what_is_known_of_it() {
    let config = config_with_notifier().with_posts_in_flight(1);
    let mut scenario = Scenario::new(config);
    scenario.call(call(1));
    scenario.call(call(2));
    scenario.call(call_with_handle(3));
    scenario.feed(Input::SubscriptionLost(connection_lost()));
    scenario.feed(Input::Drain { limit: Duration::from_secs(5) });
    scenario.advance(Duration::from_secs(5));
    let sent = scenario.sent_results();
    let error = |text: &str| Err(text.to_owned());
    assert_eq!(
        sent,
        [(id(3), error("Draining")), (id(2), error("Draining")), (id(1), error("Unknown after 1"))]
    );
    assert!(scenario.has_finished());
}

#[test]
fn the_earlier_of_two_limits_applies() {
    let mut scenario = Scenario::new(config());
    scenario.call(call(1));
    scenario.feed(Input::Drain { limit: Duration::from_secs(2) });
    drain(&mut scenario);
    assert_eq!(scenario.reach_deadline(), Timer::DrainLimit);
    assert_eq!(scenario.now().since(crate::Moment::EPOCH), Duration::from_secs(2));
    assert!(scenario.has_finished());
}

#[test]
fn a_finished_producer_accepts_no_input() {
    let mut scenario = Scenario::new(config());
    drain(&mut scenario);
    assert_eq!(scenario.try_feed(Input::Tick), Err(Misuse::Finished));
}
