//! What happened, as a number that tells two runs apart, and in words if somebody wants to read.

use ivy_proto::Moment;

#[derive(Default)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<(Moment, String)>>,
}

impl Trace {
    /// Keeps the words too.
    pub(crate) fn in_words() -> Trace {
        Trace { hash: 0, lines: Some(Vec::new()) }
    }

    /// Takes a number into the hash.
    pub(crate) fn mix(&mut self, number: u64) {
        self.hash = (self.hash.rotate_left(5) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    pub(crate) fn note(&mut self, now: Moment, words: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push((now, words()));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The words as JSON lines.
    pub(crate) fn to_json_lines(&self) -> String {
        let mut text = String::new();
        for (at, words) in self.lines.iter().flatten() {
            let line = serde_json::json!({"t": at.as_nanos() as f64 / 1e9, "event": words});
            text.push_str(&line.to_string());
            text.push('\n');
        }
        text
    }
}
