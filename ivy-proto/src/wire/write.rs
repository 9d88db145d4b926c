//! Writing JSON objects whose values are text already.

use std::fmt::Write;

/// The JSON of a text.
pub(super) fn json_text(text: &str) -> String {
    serde_json::to_string(text).expect("every text can be written as JSON")
}

/// Writes an object entry by entry, without white space, as `JSON.stringify` does.
pub(super) struct ObjectWriter {
    out: String,
}

impl ObjectWriter {
    pub(super) fn new() -> Self {
        ObjectWriter { out: String::from("{") }
    }

    /// An entry whose key is written as it is, quotes included, and whose value is JSON.
    pub(super) fn entry(&mut self, raw_key: &str, value: &str) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        self.out.push_str(raw_key);
        self.out.push(':');
        self.out.push_str(value);
    }

    /// An entry whose key needs no escapes and whose value is JSON.
    pub(super) fn json(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.out.push_str(value);
    }

    pub(super) fn text(&mut self, key: &'static str, text: &str) {
        self.json(key, &json_text(text));
    }

    pub(super) fn number(&mut self, key: &'static str, number: impl Into<u64>) {
        self.key(key);
        write!(self.out, "{}", number.into()).expect("writing into a String cannot fail");
    }

    fn key(&mut self, key: &'static str) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }
}
