//! Notices as workers write them, and other payloads on their channels.

use ivy_core_tests::check_seeds;
use ivy_core_tests::recorded::NOTICES;
use ivy_proto::wire::Notice;

/// R01 and R02: payloads that are no notice, or have another shape.
const STRANGE: [&str; 16] = [
    "",
    " ",
    "no JSON",
    "null",
    "5",
    "[]",
    "{}",
    "\u{feff}{}",
    r#"{"notify":true}"#,
    r#"{"id":"1","name":"t","options":{},"result":[],"notify":true,"queue":"q"}"#,
    r#"{"id":"1","name":"t","args":[],"options":{},"result":[],"notify":false,"queue":"q"}"#,
    r#"{"id":"1","name":"t","args":[],"options":{},"result":[],"queue":"q"}"#,
    r#"{"id":"1","name":"","args":[],"options":{},"result":[],"notify":true,"queue":"q"}"#,
    r#"{"id":"1","name":"t","args":{},"options":{},"result":[],"notify":true,"queue":"q"}"#,
    r#"{"id":"1","name":"t","args":[],"options":[],"result":[],"notify":true,"queue":"q"}"#,
    r#"{"id":"1","name":"t","name":"u","args":[],"options":{},"result":[],"notify":true,"queue":"q"}"#,
];

#[test]
fn recorded_notices_are_parsed() {
    for text in NOTICES {
        assert!(Notice::parse(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn other_payloads_are_distinguished_from_notices() {
    for text in STRANGE {
        assert!(Notice::parse(text.as_bytes()).is_err(), "{text}");
    }
    for bytes in [&b"\xff"[..], b"{\"id\":\"\xed\xa0\x80\"}"] {
        assert!(Notice::parse(bytes).is_err());
    }
}

#[test]
fn a_notice_truncated_at_any_byte_is_refused() {
    for text in NOTICES {
        for end in 0..text.len() {
            assert!(Notice::parse(&text.as_bytes()[..end]).is_err(), "{}", &text[..end]);
        }
    }
}

#[test]
fn all_these_notices_are_seeds_of_the_fuzz_target() {
    let rows = (0..).zip(NOTICES.iter().chain(&STRANGE));
    check_seeds("notice", rows.map(|(n, text): (u32, _)| (format!("row-{n}"), (*text).into())));
}
