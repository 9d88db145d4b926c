//! The messages of a response, each value as it is written.
//!
//! A reserve returns up to a hundred messages, and reading them is most of the work of a worker
//! whose handlers are short. So responses in IronMQ's own format are read in one pass. All others,
//! valid or not, are read by `serde_json`.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::request::MAX_COUNT;
use ivy_proto::wire::json::Scanner;

/// How many surplus messages of a response are read. Those beyond are counted, and not held in
/// memory.
pub(crate) const MAX_SURPLUS: usize = 100;
/// The maximum number of messages that are read from any response.
pub(crate) const MAX_MESSAGES: usize = MAX_COUNT + MAX_SURPLUS;

/// A message of a response. `null` counts as missing.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow, default, deserialize_with = "written")]
    pub(crate) id: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "written")]
    pub(crate) body: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "written")]
    pub(crate) reserved_count: Option<&'a str>,
    #[serde(borrow, default, deserialize_with = "written")]
    pub(crate) reservation_id: Option<&'a str>,
}

/// A value as it is written.
fn written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de str>, D::Error> {
    Ok(Option::<&RawValue>::deserialize(deserializer)?.map(RawValue::get))
}

/// The messages of a response that contains nothing else. `None` if `serde_json` must read it.
pub(crate) fn read(response: &str) -> Option<Vec<Message<'_>>> {
    Reader { text: response, scanner: Scanner::new(response) }.response()
}

/// Its methods take a position and return the one after what they have read.
#[derive(Clone, Copy)]
struct Reader<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
}

impl<'a> Reader<'a> {
    fn response(self) -> Option<Vec<Message<'a>>> {
        let (key, at) = self.key(self.scanner.skip_token(0, b'{')?)?;
        if key != "messages" {
            return None;
        }
        let (messages, at) = self.messages(self.scanner.skip_token(at, b'[')?)?;
        let end = self.scanner.skip_whitespace(self.scanner.skip_token(at, b'}')?);
        (end == self.text.len()).then_some(messages)
    }

    fn messages(self, mut at: usize) -> Option<(Vec<Message<'a>>, usize)> {
        let mut messages = Vec::new();
        if let Some(end) = self.scanner.skip_token(at, b']') {
            return Some((messages, end));
        }
        while messages.len() < MAX_MESSAGES {
            let (message, end) = self.message(at)?;
            messages.push(message);
            match self.scanner.skip_token(end, b',') {
                Some(next) => at = next,
                None => return Some((messages, self.scanner.skip_token(end, b']')?)),
            }
        }
        None
    }

    fn message(self, at: usize) -> Option<(Message<'a>, usize)> {
        let mut at = self.scanner.skip_token(at, b'{')?;
        let mut message = Message::default();
        loop {
            let (key, start) = self.key(at)?;
            let end = self.scanner.skip_value(start)?;
            let field = match key {
                "id" => Some(&mut message.id),
                "body" => Some(&mut message.body),
                "reserved_count" => Some(&mut message.reserved_count),
                "reservation_id" => Some(&mut message.reservation_id),
                _ => None,
            };
            if let Some(field) = field {
                let written = self.text.get(start..end)?;
                if written == "null" || field.replace(written).is_some() {
                    return None;
                }
            }
            match self.scanner.skip_token(end, b',') {
                Some(next) => at = next,
                None => return Some((message, self.scanner.skip_token(end, b'}')?)),
            }
        }
    }

    /// A key without escapes, and the position of its value.
    fn key(self, at: usize) -> Option<(&'a str, usize)> {
        let start = self.scanner.skip_whitespace(at);
        let end = self.scanner.plain_string(start)?;
        let key = self.text.get(start + 1..end - 1)?;
        Some((key, self.scanner.skip_whitespace(self.scanner.skip_token(end, b':')?)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::json::{Entries, Object};

    #[derive(Deserialize)]
    struct JsonMessages<'a> {
        #[serde(borrow)]
        messages: Option<Entries<Message<'a>, MAX_MESSAGES>>,
    }

    /// Reads it with `serde_json`.
    fn by_serde(response: &str) -> Option<Vec<Message<'_>>> {
        let Object(response) = serde_json::from_str::<Object<JsonMessages<'_>>>(response).ok()?;
        let messages = response.messages?;
        (messages.others == 0).then_some(messages.objects)
    }

    const SENT: &str =
        r#"{"id":"61","body":"{\"a\":\"\\n\"}","reserved_count":1,"reservation_id":"r"}"#;

    #[test]
    fn the_format_of_ironmq_is_read_in_one_pass() {
        for count in [0, 1, 2, MAX_MESSAGES] {
            let response = format!("{{\"messages\":[{}]}}", vec![SENT; count].join(","));
            let messages = read(&response);
            assert_eq!(messages.as_ref().map(Vec::len), Some(count));
            assert_eq!(messages, by_serde(&response));
        }
        let spaced = format!(" {{ \"messages\" : [ {SENT} ] }} ");
        let message = read(&spaced).unwrap().pop().unwrap();
        assert_eq!(message.body, Some(r#""{\"a\":\"\\n\"}""#));
        assert_eq!((message.id, message.reserved_count), (Some("\"61\""), Some("1")));
    }

    #[test]
    fn other_formats_are_left_to_serde_json() {
        let many = format!("{{\"messages\":[{}]}}", vec![SENT; MAX_MESSAGES + 1].join(","));
        for response in [
            "",
            "{}",
            "[]",
            r#"{"messages":null}"#,
            r#"{"messages":[]} x"#,
            r#"{"messages":[],"msg":"x"}"#,
            r#"{"messages":[5]}"#,
            r#"{"messages":[{}]}"#,
            r#"{"messages":[{"id":null}]}"#,
            r#"{"messages":[{"id":"1","id":"2"}]}"#,
            r#"{"messages":[{"\u0069d":"1"}]}"#,
            &many,
        ] {
            assert_eq!(read(response), None, "{response}");
        }
    }

    proptest! {
        #[test]
        fn both_readers_read_the_same(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", " ", "null", "1", "-0.5e3", "01", "true", "\"x\"",
                "\"\\n\"", "\"\\ud800\"", "\"\\", "\"id\":", "\"body\":", "\"other\":", "[[{}]]",
                "\"reserved_count\":", "\"reservation_id\":", SENT,
            ]), 0..12),
        ) {
            let pieces = pieces.concat();
            for response in [
                pieces.clone(),
                format!("{{\"messages\":{pieces}}}"),
                format!("{{\"messages\":[{pieces}]}}"),
                format!("{{\"messages\":[{{{pieces}}}]}}"),
            ] {
                if let Some(messages) = read(&response) {
                    prop_assert_eq!(Some(messages), by_serde(&response), "{}", response);
                }
            }
        }
    }
}
