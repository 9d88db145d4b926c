//! Values out of range.

use std::time::Duration;

use super::scenario::*;
use crate::broker::{BodyEncoding, BrokerConfig, Refusal, Request};
use crate::queue::QueueSettings;

fn lease(timeout: Duration) -> Request {
    Request::Reserve {
        queue: q(),
        count: 1,
        timeout: Some(timeout),
        wait: Duration::ZERO,
        delete: false,
    }
}

fn is_invalid(scenario: &mut Scenario, request: Request) -> bool {
    matches!(scenario.request(request), Err(Refusal::Invalid(text)) if !text.is_empty())
}

#[test]
fn values_out_of_range_are_refused_and_the_limits_are_not() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let post = |delay| Request::Post { queue: q(), messages: vec![new_message("a", delay)] };
    let peek = |count| Request::Peek { queue: q(), count };
    let settings = |timeout, expiration| {
        put(QueueSettings {
            message_timeout: Some(timeout),
            message_expiration: Some(expiration),
            ..QueueSettings::default()
        })
    };
    let above = Duration::from_nanos(1);
    let cases = [
        (reserve(100), reserve(101)),
        (peek(100), peek(101)),
        (lease(86_400 * SECOND), lease(86_400 * SECOND + above)),
        (post(604_800 * SECOND), post(604_800 * SECOND + above)),
        (settings(86_400 * SECOND, SECOND), settings(86_400 * SECOND + above, SECOND)),
        (settings(SECOND, 2_592_000 * SECOND), settings(SECOND, 2_592_000 * SECOND + above)),
    ];
    for (inside, outside) in cases {
        assert!(scenario.request(inside.clone()).is_ok(), "{inside:?}");
        assert!(is_invalid(&mut scenario, outside.clone()), "{outside:?}");
    }
}

#[test]
fn a_wait_is_at_most_thirty_seconds() {
    let mut scenario = Scenario::new();
    scenario.request(put(QueueSettings::default())).unwrap();
    let longest = scenario.start(waiting_reserve(1, 30 * SECOND));
    assert_eq!(scenario.response(longest), None);
    assert!(is_invalid(&mut scenario, waiting_reserve(1, 31 * SECOND)));
}

#[test]
fn touch_and_release_have_the_same_ranges() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    let delivery = scenario.reserve_one();
    assert!(is_invalid(&mut scenario, touch(&delivery, Some(86_401 * SECOND))));
    assert!(is_invalid(&mut scenario, release(&delivery, 604_801 * SECOND)));
    assert!(scenario.request(touch(&delivery, Some(86_400 * SECOND))).is_ok());
}

#[test]
fn a_zero_count_or_lease_counts_as_not_given() {
    let mut scenario = Scenario::new();
    scenario.post("a");
    scenario.post("b");
    let taken = scenario.take(Request::Reserve {
        queue: q(),
        count: 0,
        timeout: Some(Duration::ZERO),
        wait: Duration::ZERO,
        delete: false,
    });
    assert_eq!(bodies(&taken), ["a"]);
    scenario.pass(59 * SECOND);
    assert_eq!(scenario.peek(&q()), ["b"]);
}

#[test]
fn a_strict_broker_grants_no_lease_below_thirty_seconds() {
    let mut scenario = Scenario::with(BrokerConfig::default().with_strict(true));
    scenario.post("a");
    assert!(is_invalid(&mut scenario, lease(29 * SECOND)));
    let settings = QueueSettings { message_timeout: Some(29 * SECOND), ..QueueSettings::default() };
    assert!(is_invalid(&mut scenario, put(settings)));
    assert_eq!(bodies(&scenario.take(lease(30 * SECOND))), ["a"]);
}

#[test]
fn a_batch_has_one_to_a_hundred_items() {
    let mut scenario = Scenario::new();
    let post = |count| Request::Post {
        queue: q(),
        messages: vec![new_message("a", Duration::ZERO); count],
    };
    assert!(is_invalid(&mut scenario, post(0)));
    assert!(is_invalid(&mut scenario, post(101)));
    assert!(scenario.request(post(100)).is_ok());
    let targets: Vec<_> = scenario.reserve(100).iter().map(held).collect();
    let delete_many = |targets| Request::DeleteMany { queue: q(), targets };
    assert!(is_invalid(&mut scenario, delete_many(Vec::new())));
    assert!(is_invalid(&mut scenario, delete_many(vec![targets[0].clone(); 101])));
    assert!(scenario.request(delete_many(targets)).is_ok());
}

#[test]
fn the_length_of_a_json_body_is_that_of_its_text() {
    let config = BrokerConfig::default().with_max_body(4).with_bodies(BodyEncoding::Json);
    let mut scenario = Scenario::with(config);
    let mut post = |body| {
        let messages = vec![new_message(body, Duration::ZERO)];
        scenario.request(Request::Post { queue: q(), messages }).map(|_| ())
    };
    for short in ["", "abcd", r#"\\\"\n\u0000"#, r"\u00e4\u00e4", r"\ud83e\udd80"] {
        assert_eq!(post(short), Ok(()), "{short}");
    }
    for long in ["abcde", r#"\\\"\n\u0000."#, r"\u00e4\u00e4.", r"\ud83e\udd80."] {
        assert_eq!(post(long), Err(Refusal::TooLarge), "{long}");
    }
}

#[test]
fn one_invalid_message_refuses_the_whole_post_and_creates_nothing() {
    let mut scenario = Scenario::with(BrokerConfig::default().with_max_body(4));
    for (bad, refusal) in [
        (new_message("12345", Duration::ZERO), Refusal::TooLarge),
        (
            new_message("a", 604_801 * SECOND),
            Refusal::Invalid("delay must be from 0 to 604800 seconds"),
        ),
    ] {
        let messages = vec![new_message("1234", Duration::ZERO), bad];
        assert_eq!(scenario.request(Request::Post { queue: q(), messages }), Err(refusal));
        assert_eq!(scenario.request(Request::GetQueue { queue: q() }), Err(Refusal::QueueNotFound));
    }
}

#[test]
fn refused_settings_change_nothing() {
    let mut scenario = Scenario::new();
    let settings = QueueSettings {
        message_timeout: Some(5 * SECOND),
        message_expiration: Some(2_592_001 * SECOND),
        ..QueueSettings::default()
    };
    scenario.post("a");
    assert!(is_invalid(&mut scenario, put(settings)));
    assert_eq!(scenario.info(&q()).settings.message_timeout, Some(60 * SECOND));
}
