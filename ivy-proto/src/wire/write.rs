//! Writing JSON objects whose values are text already.

use super::unescaped_run::unescaped_run;

/// Writes an object entry by entry, without white space, as `JSON.stringify` does.
pub(super) struct ObjectWriter {
    out: String,
    /// Whether the object that is being written has no entry yet.
    is_empty: bool,
}

impl ObjectWriter {
    pub(super) fn new() -> Self {
        ObjectWriter::with_room(0)
    }

    /// With room for so many bytes, so that the text need not move while it grows.
    pub(super) fn with_room(bytes: usize) -> Self {
        let mut out = String::with_capacity(bytes);
        out.push('{');
        ObjectWriter { out, is_empty: true }
    }

    /// An entry whose key is written as it is, quotes included, and whose value is JSON.
    pub(super) fn entry(&mut self, raw_key: &str, value: &str) {
        self.separate();
        self.out.push_str(raw_key);
        self.out.push(':');
        self.out.push_str(value);
    }

    /// An entry whose value is JSON.
    #[inline(always)]
    pub(super) fn json(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.out.push_str(value);
    }

    /// An entry whose value is an array of one value, which is JSON.
    pub(super) fn array_of_one(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.out.push('[');
        self.out.push_str(value);
        self.out.push(']');
    }

    /// An entry whose value is a text that needs no escapes.
    #[inline(always)]
    pub(super) fn plain_text(&mut self, key: &'static str, text: &str) {
        self.key(key);
        self.quoted(text);
    }

    /// An entry whose value is a text.
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

    /// An entry whose value is an object, with the entries that `fill` writes.
    #[inline(always)]
    pub(super) fn object(&mut self, key: &'static str, fill: impl FnOnce(&mut ObjectWriter)) {
        self.key(key);
        self.out.push('{');
        self.is_empty = true;
        fill(self);
        self.out.push('}');
        self.is_empty = false;
    }

    /// Always inlined, as are those who call it: of a key whose length is known, a copy is a few stores.
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
