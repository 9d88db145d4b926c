//! Notices as workers write them, and what others publish in their place.

use ivy_proto::wire::Notice;
use ivy_tests::check_seeds;

/// As the original and our workers write them.
pub(crate) const RECORDED: [&str; 6] = [
    r#"{"id":"6000653546228216707","name":"testpackage.factorial","args":[5],"options":{"retry":true,"maxRetries":3},"result":[120],"notify":true,"queue":"testpackage"}"#,
    r#"{"id":"6","name":"mail.send","args":[],"options":{"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","outcome":"ok"}},"result":["\ud83d\ude80 \u4efb\u52a1"],"notify":true,"queue":"mail"}"#,
    r#"{"id":"6","name":"mail.send","args":[],"options":{"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","outcome":"ok","error":{"kind":"ResultTooLarge","message":"the result does not fit into a notice","attempts":1}}},"result":[],"notify":true,"queue":"mail"}"#,
    r#"{"id":"6","name":"mail.send","args":[],"options":{"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","reply":"ivy-notifier.r.AAAAAAAAAAAAAAAAAAAAAA","attempt":2,"outcome":"dead","error":{"kind":"RetriesExhausted","message":"no","attempts":2}}},"result":[],"notify":true,"queue":"mail"}"#,
    r#"{"id":"6","name":"mail.send","args":[],"options":{"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","reply":"ivy-notifier.r.AAAAAAAAAAAAAAAAAAAAAA","outcome":"held","error":{"kind":"UnknownTask","message":"no","attempts":0}}},"result":[],"notify":true,"queue":"mail"}"#,
    r#"{"id":7,"name":"t","args":[[],{}],"options":{},"result":[1,2],"notify":true,"queue":"q"}"#,
];

/// R01 and R02: what is no notice, or of another shape.
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
fn recorded_notices_are_read() {
    for text in RECORDED {
        assert!(Notice::parse(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn r01_r02_what_is_no_notice_is_told_apart() {
    for text in STRANGE {
        assert!(Notice::parse(text.as_bytes()).is_err(), "{text}");
    }
    for bytes in [&b"\xff"[..], b"{\"id\":\"\xed\xa0\x80\"}"] {
        assert!(Notice::parse(bytes).is_err());
    }
}

#[test]
fn a_notice_cut_at_any_byte_is_none() {
    for text in RECORDED {
        for end in 0..text.len() {
            assert!(Notice::parse(&text.as_bytes()[..end]).is_err(), "{}", &text[..end]);
        }
    }
}

#[test]
fn all_these_notices_are_seeds_of_the_fuzz_target() {
    let rows = (0..).zip(RECORDED.iter().chain(&STRANGE));
    check_seeds("notice", rows.map(|(n, text): (u32, _)| (format!("row-{n}"), (*text).into())));
}
