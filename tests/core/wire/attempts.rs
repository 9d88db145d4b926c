//! The options of a message that describe its attempt, with any value: when it is due, and how
//! often its task was lost, postponed and returned.

use ivy_core_tests::{check_seeds, fuzz};
use ivy_proto::MessageId;
use ivy_proto::queue::Body;
use ivy_proto::wire::DeadLetterReason::{BadOptions, UnsupportedFormat};
use ivy_proto::wire::{BadBody, Codec, DeadLetter, Envelope, IvyOptions};
use proptest::prelude::*;

use crate::inputs::{json, queue};

const ID: &str = "BwcHBwcHBwcHBwcHBwcHBw";

/// The largest value of each key.
const KEYS: [(&str, u64); 4] = [
    ("due", u64::MAX),
    ("lost", u32::MAX as u64),
    ("later", u32::MAX as u64),
    ("requeued", u32::MAX as u64),
];

/// Values that are neither a number of milliseconds nor a count.
const ABSURD: [&str; 16] = [
    "-1",
    "-0",
    "0.5",
    "1.0",
    "1e3",
    "1e300",
    "1e400",
    "-1e400",
    "18446744073709551616",
    "123456789012345678901234567890",
    "\"1700000000000\"",
    "\"\"",
    "true",
    "[1]",
    "{\"due\":1}",
    "[[[[[[[[1]]]]]]]]",
];

/// An unencrypted message in a format that is reserved.
const FORMATS: [&str; 4] = ["$mp1$", "$mp1$k6R0ZXN0gJGheA", "$pb1$CgR0ZXN0", "$pb23$\u{4efb}"];

fn with(key: &str, value: &str) -> String {
    format!(
        r#"{{"name":"t","options":{{"ivy":{{"v":1,"id":"{ID}","{key}":{value}}}}},"args":[5]}}"#
    )
}

fn read(body: &str) -> Result<Envelope, BadBody> {
    Codec::plain().open(&Body::new(body), &queue())
}

fn said(ivy: &IvyOptions, key: &str) -> Option<u64> {
    match key {
        "due" => ivy.due,
        "lost" => Some(ivy.lost.into()),
        "later" => Some(ivy.later.into()),
        _ => Some(ivy.requeued.into()),
    }
}

/// The body as it comes out of a dead letter.
fn kept(body: &str) -> String {
    let letter = DeadLetter {
        queue: queue(),
        id: MessageId::new("1"),
        reason: BadOptions,
        error: None,
        attempts: 0,
        deliveries: 1,
        at: 0,
        body: Body::new(body),
    };
    DeadLetter::parse(&letter.to_body()).unwrap().body.as_str().to_owned()
}

#[test]
fn a_value_of_another_type_is_refused_and_the_error_names_its_place() {
    for (key, _) in KEYS {
        for value in ABSURD {
            let body = with(key, value);
            let bad = read(&body).unwrap_err();
            assert_eq!(bad.reason(), BadOptions, "{body}");
            assert_eq!(
                bad.offset(),
                body.find(&format!(":{value}}}}}")).map(|at| at + 1),
                "{body}"
            );
            assert_eq!(kept(&body), body);
        }
    }
}

#[test]
fn a_number_that_is_too_large_is_refused_and_the_largest_is_accepted() {
    for (key, most) in KEYS {
        let body = with(key, &most.to_string());
        let envelope = read(&body).unwrap();
        assert_eq!(envelope.to_text(), body);
        assert_eq!(said(envelope.options.ivy().unwrap(), key), Some(most));
        let more = with(key, &(u128::from(most) + 1).to_string());
        assert_eq!(read(&more).unwrap_err().reason(), BadOptions, "{more}");
    }
}

#[test]
fn null_means_absent_and_is_preserved() {
    for (key, _) in KEYS {
        let body = with(key, "null");
        let envelope = read(&body).unwrap();
        assert_eq!(envelope.to_text(), body);
        assert_eq!(said(envelope.options.ivy().unwrap(), key), (key != "due").then_some(0));
    }
}

#[test]
fn a_format_that_is_not_built_in_has_another_reason_than_an_unknown_one() {
    for body in FORMATS {
        assert_eq!(read(body).unwrap_err().reason(), UnsupportedFormat, "{body}");
        assert_eq!(kept(body), body);
    }
}

#[test]
fn all_these_bodies_are_seeds_of_the_fuzz_target() {
    let absurd = KEYS.iter().flat_map(|(key, most)| {
        let most = most.to_string();
        let values = ABSURD.iter().map(|value| (*value).to_owned());
        values.chain([most, "null".to_owned()]).map(|value| with(key, &value))
    });
    let bodies = absurd.chain(FORMATS.map(str::to_owned));
    check_seeds(
        "body",
        (0..).zip(bodies).map(|(n, body): (u32, _)| (format!("attempt-{n}"), body.into_bytes())),
    );
}

proptest! {
    #[test]
    fn any_value_is_accepted_unchanged_or_refused(
        key in prop::sample::select(&KEYS),
        value in prop_oneof![json(), "-?[0-9]{1,40}", any::<u64>().prop_map(|n| n.to_string())],
    ) {
        let (key, most) = key;
        let body = with(key, &value);
        fuzz::body(body.as_bytes());
        prop_assert_eq!(kept(&body), body.clone());
        let number = value.parse::<u64>().ok().filter(|n| n.to_string() == value && *n <= most);
        match read(&body) {
            Ok(envelope) => {
                let said = said(envelope.options.ivy().unwrap(), key);
                let expected = if key == "due" { number } else { Some(number.unwrap_or(0)) };
                prop_assert_eq!(said, expected);
                prop_assert!(number.is_some() || value == "null");
                prop_assert_eq!(envelope.to_text(), body);
            }
            Err(bad) => {
                prop_assert!(number.is_none());
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
                prop_assert_eq!(bad.reason() == BadOptions, is_json);
            }
        }
    }
}
