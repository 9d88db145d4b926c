//! A JSON scanner that skips values in one pass, without building them.

use super::shape::Shape;
use super::unescaped_run::unescaped_run;

/// Scans a text from left to right. Each method takes a position, and returns the position after
/// what it skipped, or `None` if the text at the position does not match.
///
/// It accepts exactly what `serde_json` skips, so depth, the size of numbers and incomplete
/// surrogate pairs do not matter.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    /// A scanner of this text.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Scanner(text.as_bytes())
    }

    /// The position of the next byte that is not white space.
    #[inline]
    #[must_use]
    pub fn skip_whitespace(self, mut at: usize) -> usize {
        while matches!(self.byte(at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            at += 1;
        }
        at
    }

    /// Skips this byte.
    #[inline]
    pub(super) fn skip_byte(self, at: usize, byte: u8) -> Option<usize> {
        (self.byte(at) == Some(byte)).then_some(at + 1)
    }

    /// Skips white space and this byte.
    #[inline]
    #[must_use]
    pub fn skip_token(self, at: usize, token: u8) -> Option<usize> {
        self.skip_byte(self.skip_whitespace(at), token)
    }

    #[inline]
    pub(super) fn byte(self, at: usize) -> Option<u8> {
        self.0.get(at).copied()
    }

    /// Skips a string.
    pub(super) fn string(self, at: usize) -> Option<usize> {
        self.plain_string(at).or_else(|| self.any_string(at))
    }

    /// Skips a string without escapes.
    #[inline]
    #[must_use]
    pub fn plain_string(self, at: usize) -> Option<usize> {
        let at = self.skip_byte(at, b'"')?;
        self.skip_byte(at + unescaped_run(self.0.get(at..)?), b'"')
    }

    #[cold]
    fn any_string(self, at: usize) -> Option<usize> {
        let mut at = self.skip_byte(at, b'"')?;
        loop {
            at += unescaped_run(self.0.get(at..)?);
            match self.byte(at)? {
                b'"' => return Some(at + 1),
                b'\\' => at = self.escape(at + 1)?,
                _ => return None,
            }
        }
    }

    /// Skips any value.
    #[inline]
    #[must_use]
    pub fn skip_value(self, at: usize) -> Option<usize> {
        match self.byte(at)? {
            b'[' | b'{' => self.measure_value(at).map(|(end, _)| end),
            _ => self.scalar(at),
        }
    }

    /// Skips any value, and measures it.
    pub(super) fn measure_value(self, at: usize) -> Option<(usize, Shape)> {
        let mut nest = Nest::default();
        let mut at = at;
        loop {
            // A value begins at this position.
            nest.count();
            at = self.skip_whitespace(at);
            match self.byte(at)? {
                open @ (b'[' | b'{') => {
                    let container = if open == b'[' { Container::Array } else { Container::Object };
                    nest.enter(container);
                    at = self.skip_whitespace(at + 1);
                    if self.byte(at)? != container.close() {
                        at = self.skip_key(at, container)?;
                        continue;
                    }
                }
                _ => at = self.scalar(at)?,
            }
            // The value has ended, or its end is next. The same may apply to its containers.
            loop {
                let Some(container) = nest.innermost() else { return Some((at, nest.shape)) };
                at = self.skip_whitespace(at);
                let byte = self.byte(at)?;
                at += 1;
                if byte == b',' {
                    at = self.skip_key(at, container)?;
                    break;
                }
                if byte != container.close() {
                    return None;
                }
                nest.leave();
            }
        }
    }

    /// Skips a scalar value.
    #[inline]
    pub(super) fn scalar(self, at: usize) -> Option<usize> {
        match self.byte(at)? {
            b'"' => self.string(at),
            b't' => self.word(at, b"true"),
            b'f' => self.word(at, b"false"),
            b'n' => self.word(at, b"null"),
            _ => self.number(at),
        }
    }

    /// Skips the key, if the elements of such a container have keys.
    #[inline]
    fn skip_key(self, at: usize, container: Container) -> Option<usize> {
        match container {
            Container::Array => Some(at),
            Container::Object => self.skip_token(self.string(self.skip_whitespace(at))?, b':'),
        }
    }

    /// Skips the rest of an escape, after its backslash.
    fn escape(self, at: usize) -> Option<usize> {
        match self.byte(at)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
            b'u' => {
                let digits = self.0.get(at + 1..at + 5)?;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
            }
            _ => None,
        }
    }

    fn number(self, at: usize) -> Option<usize> {
        let at = self.skip_byte(at, b'-').unwrap_or(at);
        let mut at = self.skip_byte(at, b'0').or_else(|| self.digits(at))?;
        if let Some(fraction) = self.skip_byte(at, b'.') {
            at = self.digits(fraction)?;
        }
        if let Some(exponent) = self.skip_byte(at, b'e').or_else(|| self.skip_byte(at, b'E')) {
            let sign = self.skip_byte(exponent, b'+').or_else(|| self.skip_byte(exponent, b'-'));
            at = self.digits(sign.unwrap_or(exponent))?;
        }
        Some(at)
    }

    /// Skips one or more digits.
    fn digits(self, start: usize) -> Option<usize> {
        let mut at = start;
        while self.byte(at).is_some_and(|byte| byte.is_ascii_digit()) {
            at += 1;
        }
        (at > start).then_some(at)
    }

    fn word(self, at: usize, word: &[u8]) -> Option<usize> {
        self.0.get(at..)?.starts_with(word).then_some(at + word.len())
    }
}

#[derive(Clone, Copy)]
enum Container {
    Array,
    Object,
}

impl Container {
    fn close(self) -> u8 {
        match self {
            Container::Array => b']',
            Container::Object => b'}',
        }
    }
}

/// The open containers at the current position, one bit each: set for an object.
#[derive(Default)]
struct Nest {
    depth: usize,
    shape: Shape,
    /// The innermost container is the lowest bit.
    inner: u64,
    /// The containers further out, in whole words.
    outer: Vec<u64>,
}

impl Nest {
    /// Counts a value that begins.
    fn count(&mut self) {
        self.shape.elements += usize::from(self.depth == 1);
    }

    fn enter(&mut self, container: Container) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.inner);
        }
        self.inner = self.inner << 1 | u64::from(matches!(container, Container::Object));
        self.depth += 1;
        self.shape.depth = self.shape.depth.max(self.depth);
    }

    fn leave(&mut self) {
        self.depth -= 1;
        self.inner >>= 1;
        if self.depth.is_multiple_of(64) {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }

    fn innermost(&self) -> Option<Container> {
        if self.depth == 0 {
            return None;
        }
        Some(if self.inner & 1 == 0 { Container::Array } else { Container::Object })
    }
}

/// Measures a text that is known to be valid JSON.
pub(super) fn measure(json: &str) -> Shape {
    Scanner::new(json).measure_value(0).map(|(_, shape)| shape).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    /// Pieces of JSON in any order: sometimes valid JSON, mostly almost valid.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "[",
                "]",
                "{",
                "}",
                "\"\":",
                "\"a\":",
                ",",
                ":",
                "\"",
                "\\",
                "\"\\u12aF\\n\\/\"",
                "\"\\u12g4\"",
                "\"\\x\"",
                "\"\u{1f}\"",
                "\"\u{7f}\u{e9}\"",
                "true",
                "false",
                "null",
                "nul",
                "0",
                "-",
                "-0",
                "01",
                "12",
                "1.5",
                "1.",
                ".5",
                "1e5",
                "1E+5",
                "2e-1",
                "1e",
                "1e+",
                " ",
                "\t\r\n",
                "\u{b}",
                "[1,2]",
                "{\"b\":[null]}",
                "\u{feff}",
            ])
            .prop_map(str::to_owned),
            "\\PC{0,3}",
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    /// Pieces around values, so that the result is more often valid.
    fn nested() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just(String::new()),
            pieces(),
            "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,2})?([eE][+-]?[0-9])?",
            "\"([ !#-~é🚀]|\\\\[\"\\\\/bfnrt]|\\\\u[0-9a-fA-F]{4}){0,12}\"",
        ];
        leaf.prop_recursive(5, 40, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|values| format!("[{}]", values.join(" , "))),
                prop::collection::vec(inner, 0..4).prop_map(|values| {
                    let entries: Vec<_> =
                        values.iter().map(|value| format!("\"k\" : {value}")).collect();
                    format!(" {{{}}}\n", entries.join(","))
                }),
            ]
        })
    }

    fn scanned(text: &str) -> Option<(&str, Shape)> {
        let scanner = Scanner::new(text);
        let start = scanner.skip_whitespace(0);
        let (end, shape) = scanner.measure_value(start)?;
        (scanner.skip_whitespace(end) == text.len()).then_some((&text[start..end], shape))
    }

    fn as_serde_does(text: &str) {
        let raw = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
        assert_eq!(scanned(text).map(|(text, _)| text), raw, "{text:?}");
    }

    proptest! {
        #[test]
        fn it_accepts_what_serde_json_accepts(text in prop_oneof![pieces(), nested()]) {
            as_serde_does(&text);
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack_and_brackets_must_match() {
        for depth in [1, 63, 64, 65, 127, 128, 129, 1_000, 100_001] {
            for (open, close) in [("[", "]"), ("{\"\":", "}")] {
                let inner = format!("{}[]{}", open.repeat(depth - 1), close.repeat(depth - 1));
                as_serde_does(&inner);
                assert_eq!(scanned(&inner).map(|(_, shape)| shape.depth), Some(depth));
                as_serde_does(&format!("{}[]{}]", open.repeat(depth), close.repeat(depth - 1)));
                as_serde_does(&format!("{}[]{}}}", open.repeat(depth), close.repeat(depth - 1)));
            }
        }
    }

    #[test]
    fn levels_and_elements_are_counted() {
        for (array, depth, elements) in [
            ("[]", 1, 0),
            ("[ \n]", 1, 0),
            ("[1]", 1, 1),
            ("[[]]", 2, 1),
            ("[[1,2],{\"a\":[3,4]}]", 3, 2),
            (r#"["[[,\"[,\\",2]"#, 1, 2),
        ] {
            assert_eq!(measure(array), Shape { depth, elements }, "{array}");
        }
    }
}
