//! Writes JSON objects whose values are already text.

use super::unescaped_run::unescaped_run;

/// Writes an object entry by entry, without white space, like `JSON.stringify`.
pub(super) struct ObjectWriter {
    out: String,
    /// Whether the current object has no entries yet.
    is_empty: bool,
}

impl ObjectWriter {
    pub(super) fn new() -> Self {
        ObjectWriter::with_room(0)
    }

    /// Allocates this capacity, so that the text need not move while it grows.
    pub(super) fn with_room(bytes: usize) -> Self {
        let mut out = String::with_capacity(bytes);
        out.push('{');
        ObjectWriter { out, is_empty: true }
    }

    /// Writes an entry with a key as it is, including quotes, and a JSON value.
    pub(super) fn entry(&mut self, raw_key: &str, value: &str) {
        self.separate();
        self.out.push_str(raw_key);
        self.out.push(':');
        self.out.push_str(value);
    }

    /// Writes an entry with a JSON value.
    #[inline(always)]
    pub(super) fn json(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.out.push_str(value);
    }

    /// Writes an entry with an array of one JSON value.
    pub(super) fn array_of_one(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.out.push('[');
        self.out.push_str(value);
        self.out.push(']');
    }

    /// Writes an entry with a text that needs no escapes.
    #[inline(always)]
    pub(super) fn plain_text(&mut self, key: &'static str, text: &str) {
        self.key(key);
        self.quoted(text);
    }

    /// Writes an entry with a text.
    #[inline(always)]
    pub(super) fn text(&mut self, key: &'static str, text: &str) {
        self.key(key);
        self.escaped(text);
    }

    #[inline(always)]
    pub(super) fn number(&mut self, key: &'static str, number: impl Into<u64>) {
        self.key(key);
        self.out.push_str(itoa::Buffer::new().format(number.into()));
    }

    /// Writes an entry with an object whose entries `fill` writes.
    #[inline(always)]
    pub(super) fn object(&mut self, key: &'static str, fill: impl FnOnce(&mut ObjectWriter)) {
        self.key(key);
        self.out.push('{');
        self.is_empty = true;
        fill(self);
        self.out.push('}');
        self.is_empty = false;
    }

    /// Always inlined, like its callers: for a key of known length, the copy is a few stores.
    #[inline(always)]
    fn key(&mut self, key: &'static str) {
        self.separate();
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        self.out.push_str(text);
        self.out.push('"');
    }

    fn escaped(&mut self, text: &str) {
        if unescaped_run(text.as_bytes()) == text.len() {
            self.quoted(text);
        } else {
            let escaped = serde_json::to_string(text).expect("every text can be written as JSON");
            self.out.push_str(&escaped);
        }
    }

    #[inline(always)]
    fn separate(&mut self) {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.out.push(',');
        }
    }

    pub(super) fn finish(mut self) -> String {
        self.out.push('}');
        self.out
    }
}
