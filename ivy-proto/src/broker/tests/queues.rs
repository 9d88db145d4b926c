//! Queues: creation, settings, sizes, age, clearing, deletion and listing.

use std::time::Duration;

use super::scenario::*;
use crate::broker::{BrokerConfig, Refusal, Request, Response};
use crate::queue::QueueSettings;

fn patch(settings: QueueSettings) -> Request {
    Request::PatchQueue { queue: q(), settings }
}

fn keeping(message_expiration: Duration) -> QueueSettings {
    QueueSettings { message_expiration: Some(message_expiration), ..QueueSettings::default() }
}

fn reservable(reservable: bool) -> QueueSettings {
    QueueSettings { reservable: Some(reservable), ..QueueSettings::default() }
}

fn leasing(message_timeout: Duration) -> QueueSettings {
    QueueSettings { message_timeout: Some(message_timeout), ..QueueSettings::default() }
}

#[test]
fn a_post_creates_the_queue_with_default_settings() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let settings = scenario.info(&q()).settings;
    assert_eq!(settings.reservable, Some(true));
    assert_eq!(settings.message_timeout, Some(60 * SECOND));
    assert_eq!(settings.message_expiration, Some(604_800 * SECOND));
    assert_eq!(settings.dead_letter, None);
}

#[test]
fn only_posts_and_settings_create_a_queue() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let target = held(&scenario.reserve_one());
    let queue = name("missing");
    let requests = [
        Request::GetQueue { queue: queue.clone() },
        Request::DeleteQueue { queue: queue.clone() },
        Request::GetMessage { queue: queue.clone(), message: target.message.clone() },
        Request::Peek { queue: queue.clone(), count: 1 },
        Request::Delete { queue: queue.clone(), target: target.clone() },
        Request::DeleteMany { queue: queue.clone(), targets: vec![target.clone()] },
        Request::DeleteEach { queue: queue.clone(), targets: vec![target.clone()] },
        Request::Clear { queue: queue.clone() },
        Request::Touch { queue: queue.clone(), target: target.clone(), timeout: None },
        Request::Release { queue, target, delay: Duration::ZERO, failed: false },
    ];
    for request in requests {
        assert_eq!(scenario.request(request.clone()), Err(Refusal::QueueNotFound), "{request:?}");
    }
}

#[test]
fn a_patch_creates_a_missing_queue_unless_the_broker_is_strict() {
    assert!(Scenario::new().request(patch(QueueSettings::default())).is_ok());
    let mut strict = Scenario::with(BrokerConfig::default().with_strict(true));
    assert_eq!(strict.request(patch(QueueSettings::default())), Err(Refusal::QueueNotFound));
}

#[test]
fn put_and_patch_change_only_given_settings() {
    let requests: [fn(QueueSettings) -> Request; 2] = [put, patch];
    for request in requests {
        let mut scenario = Scenario::new();
        scenario.request(put(keeping(100 * SECOND))).unwrap();
        scenario.request(request(leasing(5 * SECOND))).unwrap();
        let settings = scenario.info(&q()).settings;
        assert_eq!(settings.message_expiration, Some(100 * SECOND));
        assert_eq!(settings.message_timeout, Some(5 * SECOND));
    }
}

#[test]
fn settings_of_zero_count_as_not_given() {
    let mut scenario = Scenario::new();
    let settings = QueueSettings {
        message_timeout: Some(Duration::ZERO),
        message_expiration: Some(Duration::ZERO),
        ..QueueSettings::default()
    };
    scenario.request(put(settings)).unwrap();
    assert_eq!(scenario.info(&q()).settings.message_timeout, Some(60 * SECOND));
    assert_eq!(scenario.info(&q()).settings.message_expiration, Some(604_800 * SECOND));
}

#[test]
fn whether_a_queue_is_reservable_is_fixed() {
    let mut scenario = Scenario::new();
    scenario.request(put(reservable(false))).unwrap();
    assert!(scenario.request(put(reservable(false))).is_ok());
    assert_eq!(scenario.request(put(reservable(true))), Err(Refusal::KindIsFixed));
    assert_eq!(scenario.request(patch(reservable(true))), Err(Refusal::KindIsFixed));
}

#[test]
fn messages_of_an_unreservable_queue_are_not_delivered() {
    let mut scenario = Scenario::new();
    scenario.request(put(reservable(false))).unwrap();
    scenario.post("a");
    assert!(scenario.reserve(10).is_empty());
    assert_eq!(scenario.peek(&q()), ["a"]);
}

#[test]
fn a_reserve_on_an_unreservable_queue_waits_its_whole_time() {
    let mut scenario = Scenario::new();
    scenario.request(put(reservable(false))).unwrap();
    let waiter = scenario.start(waiting_reserve(1, 10 * SECOND));
    scenario.post("a");
    assert_eq!(scenario.deliveries(waiter), None);
    scenario.pass(10 * SECOND);
    assert_eq!(scenario.deliveries(waiter), Some((10 * SECOND, Vec::new())));
}

#[test]
fn the_size_counts_messages_in_every_state() {
    let mut scenario = Scenario::new();
    scenario.post("reserved");
    scenario.reserve_one();
    scenario.post("ready");
    scenario.post_delayed("delayed", 5 * SECOND);
    assert_eq!(scenario.size(), 3);
}

#[test]
fn the_total_never_falls() {
    let mut scenario = Scenario::new();
    let id = scenario.post("a");
    scenario.request(delete(unheld(&id))).unwrap();
    scenario.post("b");
    scenario.request(Request::Clear { queue: q() }).unwrap();
    let info = scenario.info(&q());
    assert_eq!((info.size, info.total_messages), (Some(0), Some(2)));
}

#[test]
fn a_message_expires_in_any_state_by_its_age_since_the_post() {
    let mut scenario = Scenario::new();
    scenario.request(put(keeping(100 * SECOND))).unwrap();
    scenario.post("reserved");
    let delivery = scenario
        .take(Request::Reserve {
            queue: q(),
            count: 1,
            timeout: Some(1000 * SECOND),
            wait: Duration::ZERO,
            delete: false,
        })
        .remove(0);
    scenario.post("ready");
    scenario.post_delayed("delayed", 1000 * SECOND);
    scenario.pass(100 * SECOND - Duration::from_nanos(1));
    assert_eq!(scenario.size(), 3);
    scenario.pass(Duration::from_nanos(1));
    assert_eq!(scenario.size(), 0);
    assert_eq!(scenario.request(delete(held(&delivery))), Err(Refusal::MessageNotFound));
}

#[test]
fn a_message_that_returns_when_it_expires_is_not_delivered() {
    let mut scenario = Scenario::new();
    scenario.request(put(keeping(10 * SECOND))).unwrap();
    scenario.post_delayed("a", 10 * SECOND);
    let waiter = scenario.start(waiting_reserve(1, 20 * SECOND));
    scenario.pass(20 * SECOND);
    assert_eq!(scenario.deliveries(waiter), Some((20 * SECOND, Vec::new())));
}

#[test]
fn a_new_expiration_applies_to_later_posts_only() {
    let mut scenario = Scenario::new();
    scenario.request(put(keeping(10 * SECOND))).unwrap();
    scenario.post("before");
    scenario.request(put(keeping(100 * SECOND))).unwrap();
    scenario.post("after");
    scenario.pass(10 * SECOND);
    assert_eq!(scenario.peek(&q()), ["after"]);
}

#[test]
fn a_new_lease_applies_to_the_next_reserve() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    scenario.request(patch(leasing(5 * SECOND))).unwrap();
    scenario.reserve_one();
    scenario.pass(5 * SECOND);
    scenario.reserve_one();
}

#[test]
fn a_cleared_queue_has_no_messages_in_any_state() {
    let mut scenario = Scenario::new();
    scenario.post("reserved");
    let delivery = scenario.reserve_one();
    scenario.post("ready");
    scenario.post_delayed("delayed", 5 * SECOND);
    assert_eq!(scenario.request(Request::Clear { queue: q() }), Ok(Response::Cleared));
    scenario.pass(100 * SECOND);
    assert!(scenario.reserve(10).is_empty());
    assert_eq!(scenario.request(delete(held(&delivery))), Err(Refusal::MessageNotFound));
    assert_eq!(scenario.size(), 0);
}

#[test]
fn a_deleted_queue_loses_its_messages_and_settings() {
    let mut scenario = Scenario::new();
    scenario.request(put(leasing(5 * SECOND))).unwrap();
    scenario.post("a");
    assert_eq!(scenario.request(Request::DeleteQueue { queue: q() }), Ok(Response::QueueDeleted));
    assert_eq!(scenario.request(reserve(1)), Err(Refusal::QueueNotFound));
    scenario.post("b");
    assert_eq!(scenario.peek(&q()), ["b"]);
    let info = scenario.info(&q());
    assert_eq!(info.total_messages, Some(1));
    assert_eq!(info.settings.message_timeout, Some(60 * SECOND));
}

fn listed(prefix: &str, previous: &str, per_page: usize) -> Vec<String> {
    let mut scenario = Scenario::new();
    for queue in ["b", "ab", "a", "Z", "abc", "é"] {
        let settings = QueueSettings::default();
        scenario.request(Request::PutQueue { queue: name(queue), settings }).unwrap();
    }
    let (prefix, previous) = (prefix.to_owned(), previous.to_owned());
    match scenario.request(Request::ListQueues { prefix, previous, per_page }) {
        Ok(Response::Queues(names)) => names.iter().map(|name| name.as_str().to_owned()).collect(),
        other => panic!("not a list: {other:?}"),
    }
}

#[test]
fn queues_are_listed_in_byte_order() {
    assert_eq!(listed("", "", 30), ["Z", "a", "ab", "abc", "b", "é"]);
}

#[test]
fn a_page_starts_after_the_previous_name_whether_it_exists_or_not() {
    assert_eq!(listed("", "ab", 2), ["abc", "b"]);
    assert_eq!(listed("", "aa", 2), ["ab", "abc"]);
    assert_eq!(listed("", "\u{0}", 1), ["Z"]);
    assert!(listed("", "\u{10ffff}", 30).is_empty());
}

#[test]
fn a_list_can_be_limited_to_a_prefix() {
    assert_eq!(listed("a", "", 30), ["a", "ab", "abc"]);
    assert_eq!(listed("a", "ab", 30), ["abc"]);
    assert_eq!(listed("ab", "a", 30), ["ab", "abc"]);
    assert!(listed("a", "b", 30).is_empty());
}

#[test]
fn the_page_size_is_clamped() {
    let mut scenario = Scenario::new();
    for number in 0..101 {
        let settings = QueueSettings::default();
        let queue = name(&format!("q{number}"));
        scenario.request(Request::PutQueue { queue, settings }).unwrap();
    }
    for (requested, expected) in [(0, 1), (101, 100), (usize::MAX, 100)] {
        let list = Request::ListQueues {
            prefix: String::new(),
            previous: String::new(),
            per_page: requested,
        };
        let Ok(Response::Queues(names)) = scenario.request(list) else { panic!("a list") };
        assert_eq!(names.len(), expected, "{requested}");
    }
}
