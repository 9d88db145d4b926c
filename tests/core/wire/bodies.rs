//! Malformed and unusual message bodies: one row for each kind of trouble, each with the required
//! outcome. Rows that a worker, a producer or a handler decides are tested with those.

use ivy_core_tests::check_seeds;
use ivy_proto::queue::{Body, ReceivedBody};
use ivy_proto::wire::DeadLetterReason::{
    BadArgs, BadJson, BadName, BadOptions, DuplicateKey, EmptyBody, ExpectedEncrypted, NoKey,
    NotAnObject, TooDeep, TooLarge, UnsupportedVersion,
};
use ivy_proto::wire::{
    Codec, DeadLetter, DeadLetterReason, Envelope, LegacyKey, MAX_ARGS, MAX_UNKNOWN_OPTIONS,
    is_dead_letter,
};
use ivy_proto::{MessageId, QueueName};

use crate::inputs::queue;

/// The row's number, its subject, the bodies, and the reason of their dead letters.
type Refused = (&'static str, &'static str, Vec<String>, DeadLetterReason);

/// The row's number, its subject, and the bodies that are accepted.
type Accepted = (&'static str, &'static str, Vec<String>);

fn read(body: &str) -> Result<Envelope, DeadLetterReason> {
    Codec::plain().open(&Body::new(body), &queue()).map_err(|bad| bad.reason())
}

fn with_args(args: &str) -> String {
    format!(r#"{{"name":"t","options":{{}},"args":{args}}}"#)
}

fn with_options(options: &str) -> String {
    format!(r#"{{"name":"t","options":{options},"args":[]}}"#)
}

fn with_name(name: &str) -> String {
    format!(r#"{{"name":{name},"options":{{}},"args":[]}}"#)
}

fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

fn all<'a>(form: impl Fn(&str) -> String, parts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    parts.into_iter().map(form).collect()
}

fn refused() -> Vec<Refused> {
    let whole = |text: &str| text.to_owned();
    let good = r#"{"name":"t","options":{},"args":[]}"#;
    let many_options: Vec<_> = (0..20_000).map(|n| format!("\"{n}\":0")).collect();
    vec![
        ("B01", "an empty body", all(whole, [""]), EmptyBody),
        ("B02", "only white space", all(whole, [" ", "\r\n\t "]), BadJson),
        (
            "B03",
            "arguments nested above the limit",
            vec![with_args(&nested(128)), with_args(&nested(100_000))],
            TooDeep,
        ),
        (
            "B04",
            "a duplicate key",
            all(
                whole,
                [
                    r#"{"name":"t","name":"u","options":{},"args":[]}"#,
                    r#"{"name":"t","n\u0061me":"u","options":{},"args":[]}"#,
                    r#"{"name":"t","options":{},"args":[],"args":[1]}"#,
                    r#"{"name":"t","options":{"x":1,"x":2},"args":[]}"#,
                    r#"{"name":"t","options":{"ivy":{"v":1,"v":1}},"args":[]}"#,
                ],
            ),
            DuplicateKey,
        ),
        (
            "B08",
            "numbers that JSON does not have",
            all(
                |number| with_args(&format!("[{number}]")),
                ["NaN", "Infinity", "-Infinity", "01", "1.", "+1", ".5", "0x10", "1e", "-"],
            ),
            BadJson,
        ),
        ("B10", "half a surrogate pair in the name", all(with_name, [r#""\ud800""#]), BadName),
        ("B11", "a reversed pair in the name", all(with_name, [r#""\udc00\ud800""#]), BadName),
        (
            "B13",
            "a byte order mark",
            vec![format!("\u{feff}{good}"), good.chars().flat_map(|c| [c, '\0']).collect()],
            BadJson,
        ),
        (
            "B14",
            "trailing data after the envelope",
            all(|tail| format!("{good}{tail}"), [" x", "{}", "\0", "]", ","]),
            BadJson,
        ),
        (
            "B15",
            "white space that JSON does not have",
            all(|space| format!("{space}{good}"), ["\u{a0}", "\u{b}", "\u{feff}", "\u{c}"]),
            BadJson,
        ),
        (
            "B16",
            "control characters in a text",
            all(with_args, ["[\"\0\"]", "[\"\n\"]", "[\"\u{1f}\"]"]),
            BadJson,
        ),
        (
            "B17",
            "extensions of JSON",
            all(
                whole,
                [
                    "{'name':'t','options':{},'args':[]}",
                    r#"{"name":"t",/* */"options":{},"args":[]}"#,
                    r#"{"name":"t","options":{},"args":[],}"#,
                    r#"{"name":"t","options":{},"args":[1,]}"#,
                    r#"{name:"t","options":{},"args":[]}"#,
                ],
            ),
            BadJson,
        ),
        (
            "B18",
            "another JSON value",
            all(whole, ["null", "5", "\"x\"", "true", " 1e400 "]),
            NotAnObject,
        ),
        ("B19", "an array in the envelope's order", all(whole, [r#"["t",{},[]]"#]), NotAnObject),
        (
            "B20",
            "no name, or one that is not a text",
            [r#"{"options":{},"args":[]}"#.to_owned()]
                .into_iter()
                .chain(all(with_name, ["null", "5", "{}", "[]", "true", "\"\""]))
                .collect(),
            BadName,
        ),
        (
            "B21",
            "names that could forge a log line, or are too long",
            all(
                with_name,
                [
                    format!("\"{}\"", "x".repeat(1 << 17)).as_str(),
                    format!("\"{}\"", "x".repeat(256)).as_str(),
                    r#""a\u0000b""#,
                    r#""a\nb""#,
                    r#""a\u001b[31m""#,
                    "\"a\u{202e}b\"",
                ],
            ),
            BadName,
        ),
        ("B26", "options of another type", all(with_options, ["\"s\"", "5", "true"]), BadOptions),
        ("B27", "options that are an array", all(with_options, ["[]"]), BadOptions),
        (
            "B29",
            "known options out of their range, and too many unknown ones",
            [format!("{{{}}}", many_options.join(","))]
                .iter()
                .map(String::as_str)
                .chain([
                    r#"{"maxRetries":-1}"#,
                    r#"{"maxRetries":101}"#,
                    r#"{"maxRetries":1e99}"#,
                    r#"{"retry":"yes"}"#,
                    r#"{"priority":10}"#,
                    r#"{"route":[]}"#,
                    r#"{"ivy":"x"}"#,
                    r#"{"ivy":{"v":1,"id":"short"}}"#,
                ])
                .map(with_options)
                .collect(),
            BadOptions,
        ),
        (
            "B29",
            "fields of ivy in an unknown version",
            all(with_options, [r#"{"ivy":{"v":2}}"#, r#"{"ivy":{"v":0,"id":5}}"#]),
            UnsupportedVersion,
        ),
        ("B30", "no arguments", all(whole, [r#"{"name":"t","options":{}}"#]), BadArgs),
        (
            "B31",
            "arguments that are not an array",
            all(with_args, [r#"{"0":1}"#, "\"x\"", "null", "5"]),
            BadArgs,
        ),
        (
            "B32",
            "too many arguments",
            vec![with_args(&format!("[{}0]", "0,".repeat(MAX_ARGS)))],
            BadArgs,
        ),
        ("B41", "a body above the limit", vec!["x".repeat(1 << 20)], TooLarge),
        (
            "B44",
            "bodies of other products",
            all(
                whole,
                [
                    "<?xml version=\"1.0\"?><task/>",
                    "<!DOCTYPE html><html></html>",
                    "\u{8}\u{1}\u{12}\u{4}test",
                    "\u{1f}\u{8b}\u{8}\0",
                    "name=t&args=1",
                    "---\nname: t\n",
                ],
            ),
            BadJson,
        ),
        ("B45", "a frame without a key", vec![FRAME.to_owned()], NoKey),
    ]
}

const FRAME: &str = "$aes-256-cbc$RSJ8h/sW75DX4Dvt2jAB/eWHi2og9UrmDBveefqx77wV9ADoulmFuK1UDJtApDZe";

#[test]
fn an_invalid_body_is_dead_lettered_with_its_reason() {
    for (row, about, bodies, reason) in refused() {
        for body in bodies {
            let start: String = body.chars().take(80).collect();
            assert_eq!(read(&body), Err(reason), "{row}, {about}: {start:?}");
        }
    }
}

fn accepted() -> Vec<Accepted> {
    let many_options: Vec<_> = (0..MAX_UNKNOWN_OPTIONS).map(|n| format!("\"{n}\":0")).collect();
    vec![
        ("B03", "nesting up to the limit", vec![with_args(&nested(127))]),
        ("B05", "duplicate keys inside the arguments", all(with_args, [r#"[{"a":1,"a":2}]"#])),
        ("B06", "a number above all floats", all(with_args, ["[1e400,-1e400]"])),
        (
            "B07",
            "numbers of many digits, and a negative zero",
            all(with_args, ["[123456789012345678901234567890]", "[9007199254740993]", "[-0,-0.0]"]),
        ),
        ("B09", "half a surrogate pair in the arguments", all(with_args, [r#"["\ud800"]"#])),
        ("B11", "a reversed pair in the arguments", all(with_args, [r#"["\udc00\ud800"]"#])),
        (
            "B22",
            "names of object properties",
            all(
                with_name,
                [r#""__proto__""#, r#""constructor""#, r#""toString""#, r#""hasOwnProperty""#],
            ),
        ),
        ("B26", "options that are null", all(with_options, ["null"])),
        (
            "B28",
            "a reservation that the sender made up",
            all(with_options, [r#"{"reservation_id":"forged"}"#]),
        ),
        (
            "B29",
            "unknown options",
            [format!("{{{}}}", many_options.join(","))]
                .iter()
                .map(String::as_str)
                .chain([
                    r#"{"__proto__":{"a":1},"queue":"q","retries":-1}"#,
                    r#"{"timeout":1e99,"\ud800":0}"#,
                    r#"{"retry":null,"maxRetries":null,"priority":null,"route":null,"ivy":null}"#,
                ])
                .map(with_options)
                .collect(),
        ),
        (
            "B32",
            "as many arguments as are allowed",
            vec![with_args(&format!("[{}0]", "0,".repeat(MAX_ARGS - 1)))],
        ),
        (
            "B35",
            "arguments that would change a JavaScript prototype",
            all(with_args, [r#"[{"__proto__":{"x":1},"constructor":{"prototype":{"x":1}}}]"#]),
        ),
        (
            "B36",
            "keys that other serialisers act on",
            all(with_args, [r#"[{"toJSON":1,"$ref":"x","@type":"y","!!js":"z","__class__":"w"}]"#]),
        ),
        (
            "B42",
            "a text of escapes only",
            vec![with_args(&format!("[\"{}\"]", "\\u0000".repeat(10_000)))],
        ),
    ]
}

#[test]
fn an_unusual_but_valid_body_passes_unchanged() {
    for (row, about, bodies) in accepted() {
        for body in bodies {
            let start: String = body.chars().take(80).collect();
            let envelope = read(&body).unwrap_or_else(|r| panic!("{row}, {about}: {r} {start}"));
            let expected = body.replace(r#""options":null"#, r#""options":{}"#);
            assert!(envelope.to_text() == expected, "{row}, {about}: {start:?} was changed");
        }
    }
}

#[test]
fn all_these_bodies_are_seeds_of_the_fuzz_target() {
    let refused = refused().into_iter().map(|(row, _, bodies, _)| (row, bodies));
    let rows = refused.chain(accepted().into_iter().map(|(row, _, bodies)| (row, bodies)));
    let bodies = rows.flat_map(|(row, bodies)| bodies.into_iter().map(move |body| (row, body)));
    let named = (0..).zip(bodies).map(|(n, (row, body))| (format!("{row}-{n}"), body.into_bytes()));
    check_seeds("body", named);
}

#[test]
fn a_missing_body_is_an_empty_one() {
    let bad = Codec::plain().open_received(&ReceivedBody::Missing, &queue()).unwrap_err();
    assert_eq!(bad.reason(), EmptyBody);
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let bodies =
        [with_args(&nested(100_000)), with_options(&format!("{{\"x\":{}}}", nested(100_000)))];
    let small_stack = std::thread::Builder::new().stack_size(64 * 1024);
    let reasons = small_stack.spawn(move || bodies.map(|body| read(&body).map(|_| ())));
    assert_eq!(reasons.unwrap().join().unwrap(), [Err(TooDeep), Ok(())]);
}

#[test]
fn json_white_space_around_the_envelope_is_accepted() {
    let body = " \t\r\n{\"name\":\"t\",\"options\":{},\"args\":[]}\n\r\t ";
    assert_eq!(read(body).unwrap().name.as_str(), "t");
}

#[test]
fn names_that_look_alike_stay_different() {
    let names = ["t", "T", "t ", "\u{e9}", "e\u{301}"];
    let read: Vec<_> =
        names.iter().map(|name| read(&with_name(&format!("\"{name}\""))).unwrap().name).collect();
    assert_eq!(read.iter().map(|name| name.as_str()).collect::<Vec<_>>(), names);
}

#[test]
fn absent_options_are_none_and_are_written_as_an_object() {
    let envelope = read(r#"{"name":"t","args":[]}"#).unwrap();
    assert_eq!(envelope.to_text(), r#"{"name":"t","options":{},"args":[]}"#);
}

#[test]
fn further_keys_of_the_envelope_are_ignored() {
    let envelope = read(r#"{"x":[1e400],"name":"t","options":{},"args":[],"\ud800":1}"#).unwrap();
    assert_eq!(envelope.to_text(), r#"{"name":"t","options":{},"args":[]}"#);
}

#[test]
fn objects_of_very_many_keys_pass() {
    let keys: Vec<_> = (0..65_000).map(|n| format!("\"{n:x}\":0")).collect();
    let keys = keys.join(",");
    let text = format!(r#"{{"name":"t","options":{{}},"args":[{{{keys}}}],"x":{{}},{keys}}}"#);
    let codec = Codec::plain().with_max_body(text.len());
    let envelope = codec.open(&Body::new(text), &queue()).unwrap();
    assert_eq!(envelope.args.as_str(), format!("[{{{keys}}}]"));
}

#[test]
fn a_plaintext_body_is_refused_if_bodies_are_encrypted() {
    let codec = Codec::legacy(LegacyKey::new("pass").unwrap());
    for body in [with_args("[]"), "<xml/>".to_owned(), " ".to_owned(), format!(" {FRAME}")] {
        let bad = codec.open(&Body::new(body), &queue()).unwrap_err();
        assert_eq!(bad.reason(), ExpectedEncrypted);
    }
}

#[test]
fn a_dead_letter_is_recognised_in_any_queue_and_keeps_its_depth() {
    let letter = DeadLetter {
        queue: QueueName::new("q").unwrap(),
        id: MessageId::new("1"),
        reason: BadJson,
        error: None,
        attempts: 0,
        deliveries: 1,
        at: 0,
        body: Body::new("x"),
    }
    .to_body();
    assert!(is_dead_letter(&letter));
    assert_eq!(read(letter.as_str()).unwrap().name.as_str(), "ivy.dead-letter");
}
