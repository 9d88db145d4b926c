//! Waiting reserves.

use std::time::Duration;

use super::scenario::*;
use crate::Misuse;
use crate::broker::{Input, Refusal, Request, RequestId, Response};
use crate::queue::QueueSettings;

fn with_queue() -> Scenario {
    let mut scenario = Scenario::new();
    scenario.request(put(QueueSettings::default())).unwrap();
    scenario
}

#[test]
fn a_waiting_reserve_is_answered_by_a_post() {
    let mut scenario = with_queue();
    let waiter = scenario.start(waiting_reserve(1, 20 * SECOND));
    scenario.pass(5 * SECOND);
    assert_eq!(scenario.deliveries(waiter), None);
    scenario.post("a");
    let (at, deliveries) = scenario.deliveries(waiter).unwrap();
    assert_eq!((at, bodies(&deliveries)), (5 * SECOND, vec!["a"]));
}

#[test]
fn a_waiting_reserve_is_answered_when_a_delay_ends() {
    let mut scenario = with_queue();
    scenario.post_delayed("a", 3 * SECOND);
    let waiter = scenario.start(waiting_reserve(1, 20 * SECOND));
    scenario.pass(10 * SECOND);
    let (at, deliveries) = scenario.deliveries(waiter).unwrap();
    assert_eq!((at, bodies(&deliveries)), (3 * SECOND, vec!["a"]));
}

#[test]
fn a_waiting_reserve_is_answered_when_a_lease_ends() {
    let mut scenario = with_queue();
    scenario.post("a");
    scenario.reserve_one();
    scenario.pass(50 * SECOND);
    let waiter = scenario.start(waiting_reserve(1, 20 * SECOND));
    scenario.pass(20 * SECOND);
    assert_eq!(scenario.deliveries(waiter).unwrap().0, 60 * SECOND);
}

#[test]
fn a_waiting_reserve_is_answered_by_a_release() {
    let mut scenario = with_queue();
    scenario.post("a");
    let delivery = scenario.reserve_one();
    let waiter = scenario.start(waiting_reserve(1, 20 * SECOND));
    scenario.request(release(&delivery, Duration::ZERO)).unwrap();
    assert_eq!(scenario.deliveries(waiter).unwrap().1[0].reserved_count, 2);
}

#[test]
fn a_waiting_reserve_is_answered_empty_when_its_wait_ends() {
    let mut scenario = with_queue();
    let waiter = scenario.start(waiting_reserve(1, 3 * SECOND));
    scenario.pass(10 * SECOND);
    assert_eq!(scenario.deliveries(waiter), Some((3 * SECOND, Vec::new())));
}

#[test]
fn a_message_that_becomes_ready_at_the_end_of_the_wait_is_delivered() {
    let mut scenario = with_queue();
    scenario.post_delayed("a", 3 * SECOND);
    let waiter = scenario.start(waiting_reserve(1, 3 * SECOND));
    scenario.pass(3 * SECOND);
    assert_eq!(bodies(&scenario.deliveries(waiter).unwrap().1), ["a"]);
}

#[test]
fn a_waiting_reserve_takes_the_first_message_without_waiting_for_more() {
    let mut scenario = with_queue();
    let waiter = scenario.start(waiting_reserve(10, 20 * SECOND));
    scenario.post("a");
    scenario.post("b");
    assert_eq!(bodies(&scenario.deliveries(waiter).unwrap().1), ["a"]);
    assert_eq!(scenario.peek(&q()), ["b"]);
}

#[test]
fn waiters_are_served_in_order() {
    let mut scenario = with_queue();
    let waiters: Vec<RequestId> =
        (0..3).map(|_| scenario.start(waiting_reserve(1, 20 * SECOND))).collect();
    for (waiter, body) in waiters.into_iter().zip(["a", "b", "c"]) {
        scenario.post(body);
        assert_eq!(bodies(&scenario.deliveries(waiter).unwrap().1), [body]);
    }
}

#[test]
fn one_post_of_several_messages_serves_several_waiters() {
    let mut scenario = with_queue();
    let waiters: Vec<RequestId> =
        (0..3).map(|_| scenario.start(waiting_reserve(2, 20 * SECOND))).collect();
    let messages = ["a", "b", "c"].map(|body| new_message(body, Duration::ZERO)).to_vec();
    scenario.request(Request::Post { queue: q(), messages }).unwrap();
    let received = waiters.into_iter().map(|waiter| scenario.deliveries(waiter));
    let counts: Vec<Option<usize>> =
        received.map(|received| received.map(|(_, deliveries)| deliveries.len())).collect();
    assert_eq!(counts, [Some(2), Some(1), None]);
}

#[test]
fn the_lease_of_a_waiter_starts_at_the_response() {
    let mut scenario = with_queue();
    scenario.start(waiting_reserve(1, 20 * SECOND));
    scenario.pass(15 * SECOND);
    scenario.post("a");
    scenario.pass(59 * SECOND);
    assert!(scenario.reserve(1).is_empty());
    scenario.pass(SECOND);
    scenario.reserve_one();
}

#[test]
fn a_waiting_reserve_can_delete_its_messages() {
    let mut scenario = with_queue();
    let waiter = scenario.start(Request::Reserve {
        queue: q(),
        count: 1,
        timeout: None,
        wait: 20 * SECOND,
        delete: true,
    });
    scenario.post("a");
    assert_eq!(bodies(&scenario.deliveries(waiter).unwrap().1), ["a"]);
    assert_eq!(scenario.size(), 0);
}

#[test]
fn a_reserve_on_a_missing_queue_does_not_wait() {
    let response = Scenario::new().request(waiting_reserve(1, 20 * SECOND));
    assert_eq!(response, Err(Refusal::QueueNotFound));
}

#[test]
fn waiters_are_answered_when_their_queue_is_deleted() {
    let mut scenario = with_queue();
    let waiter = scenario.start(waiting_reserve(1, 20 * SECOND));
    assert_eq!(scenario.request(Request::DeleteQueue { queue: q() }), Ok(Response::QueueDeleted));
    assert_eq!(scenario.response(waiter), Some((Duration::ZERO, Err(Refusal::QueueNotFound))));
}

#[test]
fn a_cleared_queue_keeps_its_waiters() {
    let mut scenario = with_queue();
    scenario.post_delayed("a", 5 * SECOND);
    let waiter = scenario.start(waiting_reserve(1, 20 * SECOND));
    scenario.request(Request::Clear { queue: q() }).unwrap();
    scenario.post("b");
    assert_eq!(bodies(&scenario.deliveries(waiter).unwrap().1), ["b"]);
}

#[test]
fn an_abandoned_wait_gets_no_message_and_no_response() {
    let mut scenario = with_queue();
    let abandoned = scenario.start(waiting_reserve(1, 20 * SECOND));
    let still_there = scenario.start(waiting_reserve(1, 20 * SECOND));
    scenario.abandon(abandoned);
    scenario.post("a");
    scenario.pass(60 * SECOND);
    assert_eq!(scenario.response(abandoned), None);
    assert_eq!(bodies(&scenario.deliveries(still_there).unwrap().1), ["a"]);
}

#[test]
fn reserved_messages_stay_reserved_when_their_client_leaves() {
    let mut scenario = with_queue();
    scenario.post("a");
    let id = scenario.start(reserve(1));
    scenario.abandon(id);
    assert!(scenario.reserve(1).is_empty());
}

#[test]
fn the_id_of_a_waiting_reserve_cannot_be_reused() {
    let mut scenario = with_queue();
    let id = scenario.start(waiting_reserve(1, 20 * SECOND));
    let second = Input::Request(id, Request::Clear { queue: q() });
    let now = scenario.now;
    assert_eq!(scenario.broker.handle_input(second, now), Err(Misuse::RequestInUse(id)));
    scenario.post("a");
    assert_eq!(bodies(&scenario.deliveries(id).unwrap().1), ["a"]);
}

#[test]
fn a_late_tick_delivers_ready_messages_with_leases_from_then() {
    let mut scenario = with_queue();
    scenario.post_delayed("a", 3 * SECOND);
    let waiter = scenario.start(waiting_reserve(1, 10 * SECOND));
    scenario.jump(100 * SECOND);
    assert_eq!(bodies(&scenario.deliveries(waiter).unwrap().1), ["a"]);
    scenario.pass(59 * SECOND);
    assert!(scenario.reserve(1).is_empty());
}
