//! Post, reserve, touch, release, delete, peek and get.

use std::time::Duration;

use super::scenario::*;
use crate::broker::{BrokerConfig, Refusal, Request, Requeue, Response, Target};
use crate::{MessageId, ReservationId};

#[test]
fn messages_are_delivered_in_the_order_of_their_posts() {
    let mut scenario = Scenario::new();
    for body in ["a", "b", "c"] {
        scenario.post(body);
    }
    assert_eq!(bodies(&scenario.reserve(2)), ["a", "b"]);
    assert_eq!(bodies(&scenario.reserve(2)), ["c"]);
}

#[test]
fn message_ids_have_nineteen_digits_and_grow() {
    let mut scenario = Scenario::new();
    let ids: Vec<MessageId> = (0..11).map(|_| scenario.post("a")).collect();
    assert!(ids.iter().all(|id| id.as_str().len() == 19 && id.as_str().parse::<u64>().is_ok()));
    assert!(ids.is_sorted_by(|before, after| before < after));
}

#[test]
fn reservation_ids_are_thirty_two_lower_case_hexadecimal_digits() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let id = scenario.reserve_one().reservation;
    assert_eq!(id.as_str().len(), 32);
    assert!(id.as_str().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
}

#[test]
fn a_reserved_message_is_hidden_until_its_lease_ends() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    scenario.reserve_one();
    scenario.pass(60 * SECOND - Duration::from_nanos(1));
    assert!(scenario.reserve(1).is_empty());
    scenario.pass(Duration::from_nanos(1));
    assert_eq!(scenario.reserve_one().reserved_count, 2);
}

#[test]
fn a_lease_may_be_shorter_than_a_second() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let timeout = Some(Duration::from_millis(20));
    scenario.take(Request::Reserve {
        queue: q(),
        count: 1,
        timeout,
        wait: Duration::ZERO,
        delete: false,
    });
    scenario.pass(Duration::from_millis(20));
    scenario.reserve_one();
}

#[test]
fn a_message_whose_lease_ended_is_first_again() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    scenario.reserve_one();
    scenario.post("b");
    scenario.pass(60 * SECOND);
    assert_eq!(bodies(&scenario.reserve(2)), ["a", "b"]);
}

#[test]
fn a_released_message_is_first_again() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    scenario.post("b");
    let first = scenario.reserve(1).remove(0);
    assert_eq!(scenario.request(release(&first, Duration::ZERO)), Ok(Response::Released));
    assert_eq!(bodies(&scenario.reserve(2)), ["a", "b"]);
}

#[test]
fn returning_messages_keep_their_order() {
    let mut scenario = Scenario::new();
    for body in ["a", "b", "c"] {
        scenario.post(body);
    }
    let mut held = scenario.reserve(2);
    held.reverse();
    for delivery in &held {
        scenario.request(release(delivery, Duration::ZERO)).unwrap();
    }
    assert_eq!(bodies(&scenario.reserve(3)), ["a", "b", "c"]);
}

#[test]
fn returning_messages_go_to_the_back_if_configured() {
    let mut scenario = Scenario::with(BrokerConfig::default().with_requeue(Requeue::Back));
    for body in ["released", "timed out", "b"] {
        scenario.post(body);
    }
    let held = scenario.reserve(2);
    scenario.request(release(&held[0], Duration::ZERO)).unwrap();
    scenario.pass(60 * SECOND);
    assert_eq!(scenario.peek(&q()), ["b", "released", "timed out"]);
}

#[test]
fn a_released_message_can_be_delayed() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let delivery = scenario.reserve_one();
    scenario.request(release(&delivery, 5 * SECOND)).unwrap();
    scenario.pass(4 * SECOND);
    assert!(scenario.reserve(1).is_empty());
    scenario.pass(SECOND);
    scenario.reserve_one();
}

#[test]
fn a_delayed_message_becomes_ready_at_the_end_of_its_delay() {
    let mut scenario = Scenario::new();
    scenario.post_delayed("a", 5 * SECOND);
    scenario.pass(5 * SECOND - Duration::from_nanos(1));
    assert!(scenario.reserve(1).is_empty());
    scenario.pass(Duration::from_nanos(1));
    assert_eq!(scenario.reserve_one().reserved_count, 1);
}

#[test]
fn a_delayed_message_keeps_the_position_of_its_post() {
    let mut scenario = Scenario::new();
    scenario.post_delayed("a", 5 * SECOND);
    scenario.post("b");
    scenario.pass(5 * SECOND);
    assert_eq!(scenario.peek(&q()), ["a", "b"]);
}

#[test]
fn a_touch_replaces_the_reservation_and_counts() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let delivery = scenario.reserve_one();
    let Ok(Response::Touched(receipt)) = scenario.request(touch(&delivery, None)) else {
        panic!("a receipt")
    };
    assert_eq!(receipt.message, delivery.message);
    assert_ne!(receipt.reservation, delivery.reservation);
    assert_eq!(scenario.request(delete(held(&delivery))), Err(Refusal::ReservationTimedOut));
    assert_eq!(scenario.request(delete(receipt.into())), Ok(Response::Deleted));
}

#[test]
fn a_touch_raises_the_count_of_reservations() {
    let mut scenario = Scenario::new();
    let id = scenario.post("a");
    let delivery = scenario.reserve_one();
    scenario.request(touch(&delivery, None)).unwrap();
    let Ok(Response::Message(view)) =
        scenario.request(Request::GetMessage { queue: q(), message: id })
    else {
        panic!("a message")
    };
    assert_eq!(view.reserved_count, 2);
}

#[test]
fn a_touched_lease_starts_now_and_not_at_the_old_end() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let delivery = scenario.reserve_one();
    scenario.pass(50 * SECOND);
    scenario.request(touch(&delivery, Some(20 * SECOND))).unwrap();
    scenario.pass(19 * SECOND);
    assert!(scenario.reserve(1).is_empty());
    scenario.pass(SECOND);
    scenario.reserve_one();
}

#[test]
fn a_touch_without_a_lease_uses_that_of_the_queue_and_not_that_of_the_reserve() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let delivery = scenario
        .take(Request::Reserve {
            queue: q(),
            count: 1,
            timeout: Some(300 * SECOND),
            wait: Duration::ZERO,
            delete: false,
        })
        .remove(0);
    scenario.request(touch(&delivery, None)).unwrap();
    scenario.pass(60 * SECOND);
    scenario.reserve_one();
}

#[test]
fn a_reservation_ends_with_its_lease() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let delivery = scenario.reserve_one();
    scenario.pass(60 * SECOND);
    for request in
        [touch(&delivery, None), release(&delivery, Duration::ZERO), delete(held(&delivery))]
    {
        assert_eq!(scenario.request(request), Err(Refusal::ReservationTimedOut));
    }
}

#[test]
fn a_reservation_ends_with_a_release() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let delivery = scenario.reserve_one();
    scenario.request(release(&delivery, 5 * SECOND)).unwrap();
    assert_eq!(scenario.request(delete(held(&delivery))), Err(Refusal::ReservationTimedOut));
}

#[test]
fn touch_and_release_require_a_reservation() {
    let mut scenario = Scenario::new();
    let target = unheld(&scenario.post("a"));
    let requests = [
        Request::Touch { queue: q(), target: target.clone(), timeout: None },
        Request::Release { queue: q(), target, delay: Duration::ZERO, failed: false },
    ];
    for request in requests {
        assert_eq!(scenario.request(request), Err(Refusal::ReservationRequired));
    }
}

#[test]
fn a_reserved_message_is_not_deleted_without_its_reservation() {
    let mut scenario = Scenario::new();
    let id = scenario.post("a");
    scenario.reserve_one();
    assert_eq!(scenario.request(delete(unheld(&id))), Err(Refusal::ReservationRequired));
    let wrong = Target { message: id, reservation: Some(ReservationId::new("0".repeat(32))) };
    assert_eq!(scenario.request(delete(wrong)), Err(Refusal::ReservationTimedOut));
    assert_eq!(scenario.size(), 1);
}

#[test]
fn reservation_ids_are_case_sensitive() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let delivery = scenario.reserve_one();
    let shouted = delivery.reservation.as_str().to_uppercase();
    assert_ne!(shouted, delivery.reservation.as_str());
    let target =
        Target { message: delivery.message, reservation: Some(ReservationId::new(shouted)) };
    assert_eq!(scenario.request(delete(target)), Err(Refusal::ReservationTimedOut));
}

#[test]
fn ready_and_delayed_messages_are_deleted_without_a_reservation() {
    let mut scenario = Scenario::new();
    let ids = [scenario.post("a"), scenario.post_delayed("b", 5 * SECOND)];
    for id in &ids {
        assert_eq!(scenario.request(delete(unheld(id))), Ok(Response::Deleted));
        assert_eq!(scenario.request(delete(unheld(id))), Err(Refusal::MessageNotFound));
    }
    scenario.pass(5 * SECOND);
    assert!(scenario.reserve(1).is_empty());
}

#[test]
fn an_id_that_the_broker_cannot_have_assigned_is_not_found() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let invalid = ["", "1", "+100000000000000001", "99999999999999999999", "0000000000000000001"];
    for text in invalid {
        let target = unheld(&MessageId::new(text));
        assert_eq!(scenario.request(delete(target)), Err(Refusal::MessageNotFound), "{text}");
    }
}

#[test]
fn several_messages_are_deleted_in_one_request() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let reserved = held(&scenario.reserve_one());
    let ready = unheld(&scenario.post("b"));
    let targets = vec![reserved.clone(), ready, reserved];
    assert_eq!(
        scenario.request(Request::DeleteMany { queue: q(), targets }),
        Ok(Response::Deleted)
    );
    assert_eq!(scenario.size(), 0);
}

#[test]
fn several_messages_are_deleted_all_or_none() {
    let mut scenario = Scenario::new();
    let (a, b) = (scenario.post("a"), scenario.post("b"));
    scenario.reserve(1);
    let missing = MessageId::new("1000000000000000099");
    for (bad, refusal) in [(a, Refusal::ReservationRequired), (missing, Refusal::MessageNotFound)] {
        let targets = vec![unheld(&b), unheld(&bad)];
        assert_eq!(scenario.request(Request::DeleteMany { queue: q(), targets }), Err(refusal));
        assert_eq!(scenario.size(), 2);
    }
}

#[test]
fn delete_each_deletes_every_message_that_it_can() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let mine = held(&scenario.reserve_one());
    let (ready, reserved) = (unheld(&scenario.post("b")), unheld(&mine.message));
    let missing = unheld(&MessageId::new("1000000000000000099"));
    let targets = vec![reserved, missing, ready.clone(), mine, ready];
    let response = scenario.request(Request::DeleteEach { queue: q(), targets });
    let expected = vec![
        Err(Refusal::ReservationRequired),
        Err(Refusal::MessageNotFound),
        Ok(()),
        Ok(()),
        Err(Refusal::MessageNotFound),
    ];
    assert_eq!(response, Ok(Response::DeletedEach(expected)));
    assert_eq!(scenario.size(), 0);
}

#[test]
fn post_each_posts_every_message_that_is_not_refused() {
    let mut scenario = Scenario::with(BrokerConfig::default().with_max_body(3));
    let messages = ["one", "large", "two"].map(|text| new_message(text, Duration::ZERO)).into();
    let response = scenario.request(Request::PostEach { queue: q(), messages });
    let id = |number: &str| Ok(MessageId::new(format!("100000000000000000{number}")));
    let expected = vec![id("1"), Err(Refusal::TooLarge), id("2")];
    assert_eq!(response, Ok(Response::PostedEach(expected)));
    assert_eq!(scenario.size(), 2);
}

#[test]
fn the_first_invalid_item_of_a_batch_determines_the_refusal() {
    let mut scenario = Scenario::new();
    let reserved = unheld(&scenario.post("a"));
    scenario.reserve_one();
    let missing = unheld(&MessageId::new("1000000000000000099"));
    let targets = vec![missing, reserved];
    let response = scenario.request(Request::DeleteMany { queue: q(), targets });
    assert_eq!(response, Err(Refusal::MessageNotFound));
}

#[test]
fn a_reserve_can_delete_immediately() {
    let mut scenario = Scenario::new();
    let id = scenario.post("a");
    let taken = scenario.take(Request::Reserve {
        queue: q(),
        count: 1,
        timeout: None,
        wait: Duration::ZERO,
        delete: true,
    });
    assert_eq!(bodies(&taken), ["a"]);
    let response = scenario.request(Request::GetMessage { queue: q(), message: id });
    assert_eq!(response, Err(Refusal::MessageNotFound));
    assert_eq!(scenario.info(&q()).total_messages, Some(1));
}

#[test]
fn only_ready_messages_are_peeked_at() {
    let mut scenario = Scenario::new();
    scenario.post("reserved");
    scenario.reserve_one();
    scenario.post_delayed("delayed", 5 * SECOND);
    scenario.post("ready");
    assert_eq!(scenario.peek(&q()), ["ready"]);
}

#[test]
fn a_peek_does_not_count_as_a_reservation() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    scenario.peek(&q());
    assert_eq!(scenario.reserve_one().reserved_count, 1);
}

#[test]
fn a_message_is_found_by_its_id_in_every_state() {
    let mut scenario = Scenario::new();
    let reserved = scenario.post("reserved");
    scenario.reserve_one();
    let delayed = scenario.post_delayed("delayed", 5 * SECOND);
    let ready = scenario.post("ready");
    for (message, body) in [(reserved, "reserved"), (delayed, "delayed"), (ready, "ready")] {
        match scenario.request(Request::GetMessage { queue: q(), message }) {
            Ok(Response::Message(view)) => assert_eq!(view.body.as_str(), body),
            other => panic!("{body}: {other:?}"),
        }
    }
}

#[test]
fn a_message_that_was_never_reserved_has_count_zero() {
    let mut scenario = Scenario::new();
    let message = scenario.post("a");
    let Ok(Response::Message(view)) = scenario.request(Request::GetMessage { queue: q(), message })
    else {
        panic!("a message")
    };
    assert_eq!(view.reserved_count, 0);
}
