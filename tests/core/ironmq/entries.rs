//! Messages inside a response: one invalid entry must not affect the others, and none may vanish
//! uncounted.

use ivy_proto::queue::{Body, DeliveryCount, PeekedMessage, QueueReply, ReceivedBody};
use ivy_proto::{MessageId, ReservationId};

use crate::support::*;

const GOOD: &str = r#"{"id":"2","body":"good","reserved_count":1,"reservation_id":"r2"}"#;

#[test]
fn a_valid_message_has_receipt_body_and_count() {
    let reserved = reserved(&format!(r#"{{"messages":[{GOOD}]}}"#));
    let [message] = &reserved.messages[..] else { panic!("{reserved:?}") };
    assert_eq!(message.receipt.message, MessageId::new("2"));
    assert_eq!(message.receipt.reservation, ReservationId::new("r2"));
    assert_eq!(message.body, ReceivedBody::Text(Body::new("good")));
    assert_eq!(message.deliveries, DeliveryCount::from_reserved_count(Some(1)));
    assert_eq!(reserved.unusable, 0);
}

#[test]
fn an_entry_without_id_or_reservation_is_counted_and_affects_no_other() {
    for bad in [
        "{}",
        "null",
        "5",
        "-5",
        "1.5",
        "true",
        "\"2\"",
        "[]",
        r#"["2","good",1,"r2"]"#,
        r#"{"id":"1","body":"b"}"#,
        r#"{"id":"1","body":"b","reservation_id":null}"#,
        r#"{"id":"1","body":"b","reservation_id":""}"#,
        r#"{"id":"1","body":"b","reservation_id":{}}"#,
        r#"{"body":"b","reservation_id":"r"}"#,
        r#"{"id":"","body":"b","reservation_id":"r"}"#,
        r#"{"id":"1\u0000","body":"b","reservation_id":"r"}"#,
        r#"{"id":"a\r\nb","body":"b","reservation_id":"r"}"#,
        r#"{"id":"\ud800","body":"b","reservation_id":"r"}"#,
        r#"{"id":[1],"body":"b","reservation_id":"r"}"#,
    ] {
        for body in [
            format!(r#"{{"messages":[{bad},{GOOD}]}}"#),
            format!(r#"{{"messages":[{GOOD},{bad}]}}"#),
        ] {
            let reserved = reserved(&body);
            assert_eq!((reserved.messages.len(), reserved.unusable), (1, 1), "{bad}");
            assert_eq!(reserved.messages[0].receipt.message.as_str(), "2");
        }
    }
}

#[test]
fn far_more_messages_than_requested_are_counted_and_not_stored() {
    let message = |n: usize| format!(r#"{{"id":"{n}","body":"b","reservation_id":"r{n}"}}"#);
    let many: Vec<String> = (0..500).map(message).collect();
    let response = format!(r#"{{"messages":[{}]}}"#, many.join(","));
    for (requested, kept) in [(1, 101), (10, 110), (100, 200)] {
        let reserved = reserved_of(requested, &response);
        assert_eq!((reserved.messages.len(), reserved.unusable), (kept, 500 - kept));
    }
    let invalid = format!(r#"{{"messages":[{}{GOOD}]}}"#, "0,".repeat(100_000));
    let reserved = reserved_of(1, &invalid);
    assert_eq!((reserved.messages.len(), reserved.unusable), (1, 100_000));
}

fn body_of(json: &str) -> ReceivedBody {
    let entry = format!(r#"{{"id":"1","reservation_id":"r","body":{json}}}"#);
    reserved(&format!(r#"{{"messages":[{entry}]}}"#)).messages.remove(0).body
}

#[test]
fn a_body_that_is_no_string_is_kept_as_its_json_text() {
    for json in ["5", "1e400", "true", r#"{"a": [1, 2]}"#, "[]", r#""\ud800""#, r#""\udc00\ud800""#]
    {
        assert_eq!(body_of(json), ReceivedBody::NotText(Body::new(json)), "{json}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(body_of(&deep), ReceivedBody::NotText(Body::new(deep)));
}

#[test]
fn a_body_may_be_missing() {
    assert_eq!(body_of("null"), ReceivedBody::Missing);
    let reserved = reserved(r#"{"messages":[{"id":"1","reservation_id":"r"}]}"#);
    assert_eq!(reserved.messages[0].body, ReceivedBody::Missing);
}

#[test]
fn a_body_is_unescaped_once() {
    for (json, text) in [
        (r#""""#, ""),
        (r#""a\\n""#, "a\\n"),
        (r#""a\n\t\"\/\u00e4\ud83d\ude00""#, "a\n\t\"/\u{e4}\u{1f600}"),
        ("\"\u{e4}\"", "\u{e4}"),
    ] {
        assert_eq!(body_of(json), ReceivedBody::Text(Body::new(text)), "{json}");
    }
}

#[test]
fn a_body_of_any_size_is_returned() {
    let text = "x".repeat(3 * 1024 * 1024);
    assert_eq!(body_of(&format!("\"{text}\"")), ReceivedBody::Text(Body::new(text)));
    let escapes = r"\u0000".repeat(64 * 1024);
    assert_eq!(
        body_of(&format!("\"{escapes}\"")),
        ReceivedBody::Text(Body::new("\0".repeat(64 * 1024)))
    );
}

#[test]
fn a_count_is_clamped_or_unknown() {
    for (json, count) in [
        ("0", Some(0)),
        ("3", Some(3)),
        ("4294967296", Some(u32::MAX)),
        ("1000000000000000000", Some(u32::MAX)),
        ("1e18", Some(u32::MAX)),
        ("-1", None),
        ("\"3\"", None),
        ("null", None),
        ("{}", None),
    ] {
        let entry =
            format!(r#"{{"id":"1","reservation_id":"r","body":"","reserved_count":{json}}}"#);
        let reserved = reserved(&format!(r#"{{"messages":[{entry}]}}"#));
        let deliveries = DeliveryCount::from_reserved_count(count);
        assert_eq!(reserved.messages[0].deliveries, deliveries, "{json}");
    }
}

#[test]
fn ids_keep_every_digit() {
    let long = "611400000000000000000000000001";
    let Ok(QueueReply::Posted(ids)) =
        decode(&post(&["a", "b"]), 201, &format!(r#"{{"ids":[{long},"00{long}"]}}"#))
    else {
        panic!("not posted")
    };
    assert_eq!(ids, [Ok(MessageId::new(long)), Ok(MessageId::new(format!("00{long}")))]);
    let body =
        format!(r#"{{"messages":[{{"id":{long},"reservation_id":9007199254740993,"body":""}}]}}"#);
    let receipt = &reserved(&body).messages[0].receipt;
    assert_eq!(
        (receipt.message.as_str(), receipt.reservation.as_str()),
        (long, "9007199254740993")
    );
}

#[test]
fn ids_with_special_characters_are_unchanged() {
    for id in ["a/b", "..", "%2f", "a?b#c", "a b", "\u{e4}"] {
        let body = format!(r#"{{"messages":[{{"id":"{id}","reservation_id":"{id}","body":""}}]}}"#);
        assert_eq!(reserved(&body).messages[0].receipt.message.as_str(), id);
    }
}

#[test]
fn one_reservation_twice_in_a_batch_is_one_message() {
    let body = format!(r#"{{"messages":[{GOOD},{GOOD},{GOOD}]}}"#);
    let reserved = reserved(&body);
    assert_eq!((reserved.messages.len(), reserved.unusable), (1, 0));
}

#[test]
fn more_messages_than_requested_are_all_returned() {
    let entries: Vec<String> =
        (0..25).map(|n| format!(r#"{{"id":"{n}","reservation_id":"r{n}","body":"b"}}"#)).collect();
    assert_eq!(reserved(&format!(r#"{{"messages":[{}]}}"#, entries.join(","))).messages.len(), 25);
}

#[test]
fn a_message_can_be_peeked_without_a_reservation() {
    let entry = r#"{"id":"6000653546228216707","body":"b","reserved_count":0}"#;
    let expected = PeekedMessage {
        id: MessageId::new("6000653546228216707"),
        body: ReceivedBody::Text(Body::new("b")),
        reserved_count: Some(0),
    };
    let body = format!(r#"{{"messages":[{entry},{{}},5]}}"#);
    assert_eq!(decode(&peek(), 200, &body), Ok(QueueReply::Peeked(vec![expected.clone()])));
    let body = format!(r#"{{"message":{entry}}}"#);
    assert_eq!(decode(&get(), 200, &body), Ok(QueueReply::Message(expected)));
}
