//! JSON lines.

use std::fmt::Write;

use ivy_proto::text::is_plain;
use serde::Serialize;

/// The version of the lines. Keys are added without a new version, and never renamed.
const VERSION: u32 = 1;

/// A line with its version as the first key.
#[derive(Serialize)]
struct Versioned<'a, T> {
    v: u32,
    #[serde(flatten)]
    record: &'a T,
}

/// A record as one line of JSON.
pub(super) fn line(record: &impl Serialize) -> String {
    let line = Versioned { v: VERSION, record };
    // Records are structs with valid JSON in them.
    let json = serde_json::to_string(&line).unwrap_or_default();
    let mut text = one_line(&json);
    text.push('\n');
    text
}

/// The same JSON without line breaks, and with all characters that a terminal would interpret
/// escaped. Outside of strings there are no such characters but white space.
fn one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len() + 1);
    for character in json.chars() {
        match character {
            '\n' | '\r' | '\t' => line.push(' '),
            plain if is_plain(plain) => line.push(plain),
            control => {
                for unit in control.encode_utf16(&mut [0; 2]) {
                    // Writing to a string does not fail.
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use ivy_proto::wire::RawJson;

    use super::*;

    #[derive(Serialize)]
    struct Row<'a> {
        name: &'a str,
        args: RawJson,
    }

    fn printed(name: &str, args: &str) -> String {
        line(&Row { name, args: RawJson::parse(args).unwrap() })
    }

    #[test]
    fn a_line_begins_with_its_version() {
        assert_eq!(printed("mail", "[1.50]"), "{\"v\":1,\"name\":\"mail\",\"args\":[1.50]}\n");
    }

    #[test]
    fn what_a_terminal_interprets_is_escaped_without_changing_the_value() {
        let text = "\u{1b}[31m\u{9b}\u{202e}\u{7f} é";
        let line = printed(text, "[]");
        assert!(line.trim_end().chars().all(is_plain), "{line}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["name"], text);
    }

    #[test]
    fn values_of_several_lines_become_one_line() {
        let line = printed("mail", "[\n\t1,\r\n \"\u{9b}\"\n]");
        assert_eq!(line.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["args"], serde_json::json!([1, "\u{9b}"]));
    }

    #[test]
    fn deep_values_are_printed() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(printed("mail", &deep).contains(&deep));
    }
}
