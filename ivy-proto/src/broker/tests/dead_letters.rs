//! The server-side dead-letter rule.

use std::time::Duration;

use super::scenario::*;
use crate::broker::{Refusal, Request, Response};
use crate::queue::{DeadLetterSetting, QueueSettings};

/// Sets or changes the dead-letter rule of a queue.
fn rule(of: &str, target: Option<&str>, max_reservations: Option<u32>) -> Request {
    let dead_letter = Some(DeadLetterSetting { queue: target.map(name), max_reservations });
    let settings = QueueSettings { dead_letter, ..QueueSettings::default() };
    Request::PatchQueue { queue: name(of), settings }
}

fn with_rule(max_reservations: u32) -> Scenario {
    let mut scenario = Scenario::new();
    scenario.request(rule("q", Some("dead"), Some(max_reservations))).unwrap();
    scenario
}

/// Reserves from the queue and releases the messages.
fn fail(scenario: &mut Scenario) -> usize {
    let deliveries = scenario.reserve(10);
    for delivery in &deliveries {
        scenario.request(release(delivery, Duration::ZERO)).unwrap();
    }
    deliveries.len()
}

#[test]
fn a_message_is_moved_after_the_allowed_number_of_reservations() {
    let mut scenario = with_rule(3);
    scenario.post("a");
    let handed_out: Vec<usize> = (0..4).map(|_| fail(&mut scenario)).collect();
    assert_eq!(handed_out, [1, 1, 1, 0]);
    assert_eq!(scenario.peek(&name("dead")), ["a"]);
}

#[test]
fn only_a_reserve_moves_a_message() {
    let mut scenario = with_rule(1);
    scenario.post("a");
    fail(&mut scenario);
    scenario.pass(100 * SECOND);
    assert_eq!(scenario.peek(&q()), ["a"]);
    assert!(scenario.peek(&name("dead")).is_empty());
}

#[test]
fn a_moved_message_keeps_its_id_its_body_and_its_count() {
    let mut scenario = with_rule(1);
    let message = scenario.post("a");
    fail(&mut scenario);
    fail(&mut scenario);
    let dead =
        scenario.request(Request::GetMessage { queue: name("dead"), message: message.clone() });
    let Ok(Response::Message(view)) = dead else { panic!("a message") };
    assert_eq!((&view.message, view.body.as_str(), view.reserved_count), (&message, "a", 1));
    let missing = scenario.request(Request::GetMessage { queue: q(), message });
    assert_eq!(missing, Err(Refusal::MessageNotFound));
}

#[test]
fn a_move_shrinks_one_queue_and_grows_the_other() {
    let mut scenario = with_rule(1);
    scenario.post("a");
    fail(&mut scenario);
    fail(&mut scenario);
    let (source, target) = (scenario.info(&q()), scenario.info(&name("dead")));
    assert_eq!((source.size, source.total_messages), (Some(0), Some(1)));
    assert_eq!((target.size, target.total_messages), (Some(1), Some(1)));
}

#[test]
fn a_reserve_continues_after_a_dead_letter() {
    let mut scenario = with_rule(1);
    scenario.post("dead");
    fail(&mut scenario);
    scenario.post("a");
    scenario.post("b");
    assert_eq!(bodies(&scenario.reserve(2)), ["a", "b"]);
}

#[test]
fn a_touch_counts_but_does_not_move() {
    let mut scenario = with_rule(2);
    scenario.post("a");
    let delivery = scenario.reserve_one();
    let Ok(Response::Touched(receipt)) = scenario.request(touch(&delivery, None)) else {
        panic!("a receipt")
    };
    scenario
        .request(Request::Release {
            queue: q(),
            target: receipt.into(),
            delay: Duration::ZERO,
            failed: false,
        })
        .unwrap();
    assert!(scenario.reserve(1).is_empty());
    assert_eq!(scenario.peek(&name("dead")), ["a"]);
}

#[test]
fn the_age_of_a_moved_message_restarts_in_its_new_queue() {
    let mut scenario = with_rule(1);
    let target =
        QueueSettings { message_expiration: Some(100 * SECOND), ..QueueSettings::default() };
    scenario.request(Request::PutQueue { queue: name("dead"), settings: target }).unwrap();
    scenario.post("a");
    scenario.pass(1000 * SECOND);
    fail(&mut scenario);
    fail(&mut scenario);
    scenario.pass(99 * SECOND);
    assert_eq!(scenario.peek(&name("dead")), ["a"]);
    scenario.pass(SECOND);
    assert!(scenario.peek(&name("dead")).is_empty());
}

#[test]
fn the_dead_letter_queue_is_created_with_the_rule() {
    let mut scenario = with_rule(1);
    assert!(scenario.peek(&name("dead")).is_empty());
}

#[test]
fn the_dead_letter_queue_is_recreated_if_it_was_deleted() {
    let mut scenario = with_rule(1);
    scenario.request(Request::DeleteQueue { queue: name("dead") }).unwrap();
    scenario.post("a");
    fail(&mut scenario);
    fail(&mut scenario);
    assert_eq!(scenario.peek(&name("dead")), ["a"]);
}

#[test]
fn a_rule_applies_to_existing_messages() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    fail(&mut scenario);
    scenario.request(rule("q", Some("dead"), Some(1))).unwrap();
    assert!(scenario.reserve(1).is_empty());
    assert_eq!(scenario.peek(&name("dead")), ["a"]);
}

#[test]
fn a_rule_defaults_to_ten_reservations() {
    let mut scenario = Scenario::new();
    scenario.request(rule("q", Some("dead"), None)).unwrap();
    scenario.post("a");
    assert_eq!((0..20).map(|_| fail(&mut scenario)).sum::<usize>(), 10);
}

#[test]
fn a_rule_can_be_changed_in_part() {
    let mut scenario = with_rule(5);
    scenario.request(rule("q", Some("other"), None)).unwrap();
    scenario.request(rule("q", None, Some(7))).unwrap();
    let expected = DeadLetterSetting { queue: Some(name("other")), max_reservations: Some(7) };
    assert_eq!(scenario.info(&q()).settings.dead_letter, Some(expected));
}

#[test]
fn a_rule_can_be_switched_off() {
    let mut scenario = with_rule(1);
    scenario.request(rule("q", None, None)).unwrap();
    assert_eq!(scenario.info(&q()).settings.dead_letter, None);
    scenario.post("a");
    fail(&mut scenario);
    assert_eq!(fail(&mut scenario), 1);
}

#[test]
fn a_rule_without_a_queue_or_with_a_number_out_of_range_is_refused() {
    let mut scenario = Scenario::new();
    for (target, number) in [(None, Some(3)), (Some("dead"), Some(0)), (Some("dead"), Some(1001))] {
        let response = scenario.request(rule("q", target, number));
        assert!(
            matches!(response, Err(Refusal::Invalid(_))),
            "{target:?} {number:?}: {response:?}"
        );
    }
    assert_eq!(scenario.request(Request::GetQueue { queue: q() }), Err(Refusal::QueueNotFound));
}

#[test]
fn dead_letter_rules_must_not_form_a_cycle() {
    let mut scenario = Scenario::new();
    scenario.request(rule("a", Some("b"), None)).unwrap();
    scenario.request(rule("b", Some("c"), None)).unwrap();
    for target in ["a", "b", "c"] {
        let response = scenario.request(rule("c", Some(target), None));
        assert!(matches!(response, Err(Refusal::Invalid(_))), "to {target}: {response:?}");
    }
}

#[test]
fn an_unreservable_queue_cannot_have_a_rule() {
    let mut scenario = Scenario::new();
    let settings = QueueSettings { reservable: Some(false), ..QueueSettings::default() };
    scenario.request(put(settings)).unwrap();
    let response = scenario.request(rule("q", Some("dead"), None));
    assert!(matches!(response, Err(Refusal::Invalid(_))), "{response:?}");
}

#[test]
fn a_reserve_waiting_for_dead_letters_is_served_by_a_move() {
    let mut scenario = with_rule(1);
    let waiter = scenario.start(Request::Reserve {
        queue: name("dead"),
        count: 1,
        timeout: None,
        wait: 20 * SECOND,
        delete: false,
    });
    scenario.post("a");
    fail(&mut scenario);
    assert_eq!(scenario.deliveries(waiter), None);
    assert!(scenario.reserve(1).is_empty());
    assert_eq!(scenario.deliveries(waiter).unwrap().1[0].reserved_count, 2);
}

#[test]
fn a_waiter_keeps_its_position_if_only_dead_letters_arrive() {
    let mut scenario = with_rule(1);
    scenario.post("dead");
    let held = scenario.reserve_one();
    let first = scenario.start(waiting_reserve(1, 20 * SECOND));
    let second = scenario.start(waiting_reserve(1, 20 * SECOND));
    scenario.request(release(&held, Duration::ZERO)).unwrap();
    assert_eq!(scenario.peek(&name("dead")), ["dead"]);
    scenario.post("a");
    assert_eq!(bodies(&scenario.deliveries(first).unwrap().1), ["a"]);
    assert_eq!(scenario.deliveries(second), None);
}

#[test]
fn dead_letters_pass_a_chain_of_queues_to_a_waiter() {
    let mut scenario = Scenario::new();
    let line: Vec<String> = (0..1000).map(|number| format!("q{number:04}")).collect();
    for pair in line.windows(2) {
        scenario.request(rule(&pair[0], Some(&pair[1]), Some(1))).unwrap();
    }
    let wait = |queue: &str| Request::Reserve {
        queue: name(queue),
        count: 1,
        timeout: Some(SECOND),
        wait: 30 * SECOND,
        delete: false,
    };
    let first = name(&line[0]);
    let message = vec![new_message("a", Duration::ZERO)];
    scenario.request(Request::Post { queue: first, messages: message }).unwrap();
    scenario.take(wait(&line[0]));
    let waiters: Vec<_> = line.iter().map(|queue| scenario.start(wait(queue))).collect();
    scenario.pass(SECOND);
    let served: Vec<bool> =
        waiters.into_iter().map(|waiter| scenario.deliveries(waiter).is_some()).collect();
    assert_eq!(served.iter().position(|served| *served), Some(999));
}
