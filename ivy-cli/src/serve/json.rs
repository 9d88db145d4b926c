//! JSON as it is read from a request: checked once from its start to its end, and read in place.
//!
//! Batches bring a hundred messages at once, and to build a tree of them, with texts of its own,
//! would cost more than all that the broker does with them. So nothing is built but a list of where
//! the values are.

use std::borrow::Cow;

/// Deeper values are refused, as by `serde_json`.
const DEEPEST: usize = 127;
/// A number of so many digits, without a fraction or an exponent, is never too large.
const SAFE_DIGITS: usize = 18;

/// A JSON text, with the places of all its values.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

/// A value, or the key of one, in the order of the text: an array or an object comes before what is
/// in it.
#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// Where it stands in the text; a string without its quotes.
    start: u32,
    end: u32,
    /// How many nodes come before that which stands behind it.
    next: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Flag,
    Number,
    Plain,
    /// A string that is not written as it reads.
    Escaped,
    Array,
    Object,
}

/// A JSON value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Json<'a> {
    Null,
    Flag(bool),
    Number(&'a str),
    Text(Text<'a>),
    Array(Elements<'a>),
    /// In the order of the text, and with what stands there twice.
    Object(Entries<'a>),
}

/// A string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    written: &'a str,
    is_plain: bool,
}

/// The values of an array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elements<'a>(Inside<'a>);

/// The keys and values of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries<'a>(Inside<'a>);

#[derive(Clone, Copy, Debug)]
struct Inside<'a> {
    document: &'a Document<'a>,
    next: usize,
    end: usize,
}

impl<'a> Document<'a> {
    /// Divides a text into its values. An error names a position, and no contents.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(bytes).ok();
        let read = text.and_then(|text| Some((text, Reader::new(text).read()?)));
        match read {
            Some((text, nodes)) => Ok(Document { text, nodes }),
            None => Err(Malformed(serde_json::from_slice::<serde_json::Value>(bytes).err())),
        }
    }

    /// The value that the text is.
    pub(crate) fn value(&self) -> Json<'_> {
        self.at(0)
    }

    fn is_key(&self, index: usize, key: &str) -> bool {
        match self.nodes.get(index) {
            Some(node) if node.kind == Kind::Plain => {
                let written = self.text.as_bytes().get(node.start as usize..node.end as usize);
                written == Some(key.as_bytes())
            }
            _ => matches!(self.at(index), Json::Text(text) if text.read() == key),
        }
    }

    fn at(&self, index: usize) -> Json<'_> {
        let Some(node) = self.nodes.get(index) else { return Json::Null };
        let inside = || Inside { document: self, next: index + 1, end: node.next as usize };
        let written = || &self.text[node.start as usize..node.end as usize];
        match node.kind {
            Kind::Null => Json::Null,
            Kind::Flag => Json::Flag(written() == "true"),
            Kind::Number => Json::Number(written()),
            Kind::Plain => Json::Text(Text { written: written(), is_plain: true }),
            Kind::Escaped => Json::Text(Text { written: written(), is_plain: false }),
            Kind::Array => Json::Array(Elements(inside())),
            Kind::Object => Json::Object(Entries(inside())),
        }
    }
}

/// The text is not JSON.
#[derive(Debug, thiserror::Error)]
#[error("Malformed JSON{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
pub(crate) struct Malformed(Option<serde_json::Error>);

impl<'a> Text<'a> {
    /// What it says.
    pub(crate) fn read(self) -> Cow<'a, str> {
        if self.is_plain {
            return Cow::Borrowed(self.written);
        }
        let text = serde_json::from_str(&format!("\"{}\"", self.written));
        Cow::Owned(text.expect("its escapes were checked"))
    }

    /// What stands between its quotes.
    pub(crate) fn written(self) -> &'a str {
        self.written
    }
}

impl Elements<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.next == self.0.end
    }

    /// Whether all of them are objects.
    pub(crate) fn are_objects(&self) -> bool {
        let Inside { document, mut next, end } = self.0;
        while next < end {
            match document.nodes.get(next) {
                Some(node) if node.kind == Kind::Object => next = node.next as usize,
                _ => return false,
            }
        }
        true
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        self.0.next()
    }
}

impl<'a> Entries<'a> {
    /// The value of a key. The last one counts.
    pub(crate) fn get(self, key: &str) -> Option<Json<'a>> {
        let Inside { document, next: mut name, end } = self.0;
        let mut found = None;
        while name < end {
            let value = name + 1;
            if document.is_key(name, key) {
                found = Some(value);
            }
            name = document.nodes.get(value)?.next as usize;
        }
        found.map(|value| document.at(value))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (Text<'a>, Json<'a>);

    fn next(&mut self) -> Option<(Text<'a>, Json<'a>)> {
        match (self.0.next()?, self.0.next()?) {
            (Json::Text(key), value) => Some((key, value)),
            _ => None,
        }
    }
}

impl<'a> Iterator for Inside<'a> {
    type Item = Json<'a>;

    fn next(&mut self) -> Option<Json<'a>> {
        if self.next >= self.end {
            return None;
        }
        let index = self.next;
        self.next = self.document.nodes.get(index)?.next as usize;
        Some(self.document.at(index))
    }
}

/// Reads a text from its start to its end, without recursion. Says no more than that something is
/// wrong: what that is, `serde_json` says better.
struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
    nodes: Vec<Node>,
    /// The arrays and objects that have not ended, the innermost last.
    open: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let nodes = Vec::with_capacity((text.len() / 32).min(512));
        Reader { bytes: text.as_bytes(), place: 0, nodes, open: Vec::new() }
    }

    fn read(mut self) -> Option<Vec<Node>> {
        // All places fit, then.
        u32::try_from(self.bytes.len()).ok()?;
        loop {
            self.value()?;
            // What ends with this value, until there is another one beside it.
            loop {
                let next = self.next_byte();
                let Some(&innermost) = self.open.last() else {
                    return next.is_none().then_some(self.nodes);
                };
                match (next?, self.nodes.get(innermost)?.kind) {
                    (b',', Kind::Object) => break self.key()?,
                    (b',', _) => break,
                    (b'}', Kind::Object) | (b']', Kind::Array) => self.close()?,
                    _ => return None,
                }
            }
        }
    }

    /// Reads a value, or of an array or object all that comes before its first value that has none
    /// in it.
    fn value(&mut self) -> Option<()> {
        loop {
            match self.next_byte()? {
                b'"' => return self.string(),
                b'{' => {
                    self.open(Kind::Object)?;
                    if self.peek_byte() == Some(b'}') {
                        self.place += 1;
                        return self.close();
                    }
                    self.key()?;
                }
                b'[' => {
                    self.open(Kind::Array)?;
                    if self.peek_byte() == Some(b']') {
                        self.place += 1;
                        return self.close();
                    }
                }
                b'n' => return self.literal(Kind::Null, b"null"),
                b't' => return self.literal(Kind::Flag, b"true"),
                b'f' => return self.literal(Kind::Flag, b"false"),
                b'-' | b'0'..=b'9' => return self.number(),
                _ => return None,
            }
        }
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Option<()> {
        (self.next_byte()? == b'"').then_some(())?;
        self.string()?;
        (self.next_byte()? == b':').then_some(())
    }

    fn open(&mut self, kind: Kind) -> Option<()> {
        self.open.push(self.nodes.len());
        self.push(kind, self.place - 1, self.place);
        (self.open.len() <= DEEPEST).then_some(())
    }

    fn close(&mut self) -> Option<()> {
        let next = u32::try_from(self.nodes.len()).ok()?;
        let node = self.nodes.get_mut(self.open.pop()?)?;
        node.next = next;
        node.end = self.place as u32;
        Some(())
    }

    /// Reads a string behind its opening quote.
    fn string(&mut self) -> Option<()> {
        let start = self.place;
        let mut kind = Kind::Plain;
        loop {
            self.place += plain(self.bytes.get(self.place..)?);
            match self.take()? {
                b'"' => break,
                b'\\' => {
                    kind = Kind::Escaped;
                    self.escape()?;
                }
                // Near the end of the text.
                byte if byte >= b' ' => {}
                _ => return None,
            }
        }
        self.push(kind, start, self.place - 1);
        Some(())
    }

    /// Reads an escape behind its backslash.
    fn escape(&mut self) -> Option<()> {
        match self.take()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.unit()? {
                // Half of a pair, of which the other half must follow.
                0xd800..0xdc00 => {
                    let follows = self.take()? == b'\\' && self.take()? == b'u';
                    (follows && (0xdc00..0xe000).contains(&self.unit()?)).then_some(())
                }
                0xdc00..0xe000 => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + char::from(self.take()?).to_digit(16)?;
        }
        Some(unit)
    }

    fn literal(&mut self, kind: Kind, text: &[u8]) -> Option<()> {
        let start = self.place - 1;
        let end = start + text.len();
        (self.bytes.get(start..end)? == text).then_some(())?;
        self.place = end;
        self.push(kind, start, end);
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let start = self.place - 1;
        while self.bytes.get(self.place).is_some_and(|byte| b"+-.eE0123456789".contains(byte)) {
            self.place += 1;
        }
        let number = self.bytes.get(start..self.place)?;
        let is_simple = number.len() <= SAFE_DIGITS
            && number.iter().all(u8::is_ascii_digit)
            && (number.len() == 1 || number[0] != b'0');
        if !is_simple {
            serde_json::from_slice::<f64>(number).ok()?;
        }
        self.push(Kind::Number, start, self.place);
        Some(())
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = self.nodes.len() + 1;
        // Nothing is longer than the text.
        self.nodes.push(Node { kind, start: start as u32, end: end as u32, next: next as u32 });
    }

    fn take(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.place)?;
        self.place += 1;
        Some(byte)
    }

    /// The next byte that is no space.
    fn next_byte(&mut self) -> Option<u8> {
        let byte = self.peek_byte()?;
        self.place += 1;
        Some(byte)
    }

    fn peek_byte(&mut self) -> Option<u8> {
        loop {
            match *self.bytes.get(self.place)? {
                b' ' | b'\n' | b'\t' | b'\r' => self.place += 1,
                byte => return Some(byte),
            }
        }
    }
}

/// How many bytes stand for themselves in a string, as far as eight bytes at a time tell.
fn plain(bytes: &[u8]) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let mut rest = bytes;
    while let Some((eight, others)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // The highest bit of each byte that is zero, or below a number: exact up to the first.
        let zero = |word: u64| word.wrapping_sub(EACH) & !word;
        let control = word.wrapping_sub(EACH * u64::from(b' ')) & !word;
        let quote = zero(word ^ (EACH * u64::from(b'"')));
        let backslash = zero(word ^ (EACH * u64::from(b'\\')));
        let special = (control | quote | backslash) & (EACH << 7);
        if special != 0 {
            return bytes.len() - rest.len() + special.trailing_zeros() as usize / 8;
        }
        rest = others;
    }
    bytes.len() - rest.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// As `serde_json` would have read it.
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

    /// Both read the same, or both refuse it with the same words.
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
        for json in ["0", "-0", "null", "true", "\"\"", "[]", "{}", "[[[{}]]]", "{\"a\":{\"a\":1}}"]
        {
            agree(json.as_bytes());
        }
    }

    #[test]
    fn what_is_not_json_is_refused_in_the_words_of_serde_json() {
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
    fn numbers_are_told_as_they_are_written() {
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
    fn it_may_be_as_deep_as_for_serde_json() {
        for depth in [126, 127, 128, 129, 100_000] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
                agree(format!("{}1{}", open.repeat(depth), close.repeat(depth)).as_bytes());
                agree(open.repeat(depth).as_bytes());
            }
        }
    }

    #[test]
    fn texts_are_borrowed_unless_they_are_escaped() {
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
    fn of_a_key_that_stands_there_twice_the_last_counts() {
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
            for (place, byte, damage) in damages {
                let byte = *b"\"\\{}[]:,u0e-. \xff".get(usize::from(byte) % 20).unwrap_or(&byte);
                let place = place.index(text.len().max(1));
                match damage {
                    0 => text.insert(place, byte),
                    1 if place < text.len() => text[place] = byte,
                    2 if place < text.len() => drop(text.remove(place)),
                    _ => text.truncate(place),
                }
            }
            agree(&text);
        }

        #[test]
        fn texts_of_escapes_are_read_or_refused_as_by_serde_json(
            text in r#"(a|ä|"|\\|\\u|d8|dc|00|/|n|\x00){0,16}"#,
        ) {
            agree(format!("\"{text}\"").as_bytes());
        }
    }
}
