//! JSON is read as by `serde_json`, or refused with the same text.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// The value that `serde_json` would have read.
fn value(json: Json<'_>) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Flag(flag) => flag.into(),
        Json::Number(number) => serde_json::from_str(number).unwrap(),
        Json::Text(text) => text.read().into(),
        Json::Array(elements) => elements.map(value).collect(),
        Json::Object(entries) => entries
            .map(|(key, json)| (key.read().into_owned(), value(json)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// Both readers read the same, or both refuse it with the same text.
fn agree(bytes: &[u8]) {
    let shown = String::from_utf8_lossy(bytes);
    match (Document::parse(bytes), serde_json::from_slice::<Value>(bytes)) {
        (Ok(document), Ok(other)) => assert_eq!(value(document.value()), other, "{shown}"),
        (Err(error), Err(other)) => {
            assert_eq!(error.to_string(), format!("Malformed JSON: {other}"), "{shown}");
        }
        (one, other) => panic!("{shown}: {one:?} {other:?}"),
    }
}

#[test]
fn every_kind_of_value_is_read() {
    agree(br#" [ null , true , false , 5 , -1.5e3 , "a" , [ ] , [ "b" ] , { } , {"c" : 6} ] "#);
    for json in ["0", "-0", "null", "true", "\"\"", "[]", "{}", "[[[{}]]]", "{\"a\":{\"a\":1}}"] {
        agree(json.as_bytes());
    }
}

#[test]
fn invalid_json_is_refused_with_the_text_of_serde_json() {
    for json in [
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "[",
        "]",
        "{",
        "}",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{1:2}",
        "{\"a\":1 \"b\":2}",
        "[1}",
        "{\"a\":1]",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "1e400",
        "-1e400",
        "1.5.5",
        "0x1",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\n\"",
        "\"\u{1f}\"",
        "\"\\ud800\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\ud800\"",
        "\"\\udc00\"",
        "{}x",
        "[] []",
        "\u{feff}{}",
        "'a'",
        "// a\n1",
    ] {
        agree(json.as_bytes());
    }
    agree(b"\"\xff\"");
    agree(b"{\"a\xc3\":1}");
    agree(b"\xff");
}

#[test]
fn numbers_are_reported_as_they_are_written() {
    for number in [
        "0",
        "7",
        "-7",
        "18446744073709551615",
        "18446744073709551616",
        "1e3",
        "1.0",
        "-0.0",
        "123456789012345678",
        "1234567890123456789",
        "1e308",
    ] {
        agree(number.as_bytes());
        let document = Document::parse(number.as_bytes()).unwrap();
        assert!(matches!(document.value(), Json::Number(written) if written == number));
    }
    agree("1".repeat(400).as_bytes());
}

#[test]
fn the_maximum_depth_is_that_of_serde_json() {
    for depth in [126, 127, 128, 129, 100_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
            agree(format!("{}1{}", open.repeat(depth), close.repeat(depth)).as_bytes());
            agree(open.repeat(depth).as_bytes());
        }
    }
}

#[test]
fn a_text_of_too_many_values_is_refused_before_recording_all() {
    let ones = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
    assert!(Document::parse(ones(reader::MAX_NODES - 1).as_bytes()).is_ok());
    for text in [ones(reader::MAX_NODES), ones(2_000_000), format!("{}x", ones(2_000_000))] {
        let error = Document::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "Too many values in the body");
    }
}

#[test]
fn strings_are_borrowed_unless_they_have_escapes() {
    let text = |json: &'static str| {
        let document: &Document<'_> =
            Box::leak(Box::new(Document::parse(json.as_bytes()).unwrap()));
        match document.value() {
            Json::Text(text) => (text.read(), text.written()),
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(text("\"plain ü\""), (Cow::Borrowed("plain ü"), "plain ü")));
    assert_eq!(text(r#""a\nb""#), (Cow::Owned("a\nb".to_owned()), r"a\nb"));
    assert_eq!(text(r#""\ud83e\udd80""#).0, "🦀");
}

#[test]
fn the_last_of_a_repeated_key_wins() {
    let document = Document::parse(br#"{"a":1,"b":[{"a":3}],"\u0061":2}"#).unwrap();
    let Json::Object(entries) = document.value() else { panic!() };
    assert!(matches!(entries.get("a"), Some(Json::Number("2"))));
    assert!(matches!(entries.get("b"), Some(Json::Array(_))));
    assert!(entries.get("c").is_none());
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a\"\\\\\n\u{0}\u{1f}\u{7f}ä🦀]{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = "[ab\"\\\\ä]{0,12}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key, inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_is_read_as_by_serde_json(json in json(), pretty: bool) {
        let text = if pretty {
            serde_json::to_vec_pretty(&json).unwrap()
        } else {
            serde_json::to_vec(&json).unwrap()
        };
        agree(&text);
    }

    #[test]
    fn damaged_json_is_read_or_refused_as_by_serde_json(
        json in json(),
        damages in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..4),
    ) {
        let mut text = serde_json::to_vec(&json).unwrap();
        for (position, byte, damage) in damages {
            let byte = *b"\"\\{}[]:,u0e-. \xff".get(usize::from(byte) % 20).unwrap_or(&byte);
            let position = position.index(text.len().max(1));
            match damage {
                0 => text.insert(position, byte),
                1 if position < text.len() => text[position] = byte,
                2 if position < text.len() => drop(text.remove(position)),
                _ => text.truncate(position),
            }
        }
        agree(&text);
    }

    #[test]
    fn strings_of_escapes_are_read_or_refused_as_by_serde_json(
        text in r#"(a|ä|"|\\|\\u|d8|dc|00|/|n|\x00){0,16}"#,
    ) {
        agree(format!("\"{text}\"").as_bytes());
    }
}
