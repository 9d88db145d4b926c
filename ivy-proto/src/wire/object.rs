//! JSON objects in their original form: ordered keys, and values as text.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::{DeserializeOwned, IgnoredAny};

use super::scan::Scanner;
use super::shape::Shape;

/// How many levels of objects are parsed: a notice contains `options`, which contains `ivy`, which
/// contains `error`. Deeper objects are kept as text only.
const LEVELS: usize = 4;

/// The initial capacity, enough for almost all messages and notices.
const ROOM: usize = 12;

/// Up to this number of entries, comparing each pair of keys is cheaper than sorting.
const FEW: usize = 16;

/// A JSON object and its nested objects, parsed in one pass. Other values are not parsed, so their
/// depth and the size of their numbers do not matter.
pub(super) struct Tree<'a> {
    text: &'a str,
    /// An entry whose value is an object is followed by the entries of that object.
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    key: Key<'a>,
    text: &'a str,
    kind: Kind,
    /// The number of following entries that belong to its value.
    inside: usize,
}

enum Key<'a> {
    /// Written without escapes, like almost all keys.
    Plain(&'a str),
    Escaped(Box<EscapedKey<'a>>),
}

struct EscapedKey<'a> {
    spelling: &'a str,
    /// `None` if it contains an incomplete surrogate pair.
    text: Option<String>,
}

/// The kind of a value.
#[derive(Clone, Copy)]
enum Kind {
    Object,
    Array(Shape),
    /// A string without escapes.
    Plain,
    /// Another scalar, or an object that is too deep to be parsed.
    Other,
}

/// An object of a tree. Its keys are unique.
#[derive(Clone, Copy)]
pub(super) struct Object<'t> {
    text: &'t str,
    entries: &'t [Entry<'t>],
}

/// A key and its value.
#[derive(Clone, Copy)]
pub(super) struct Field<'t> {
    key: &'t Key<'t>,
    value: Value<'t>,
}

/// A value in an object.
#[derive(Clone, Copy)]
pub(super) struct Value<'t> {
    text: &'t str,
    kind: Kind,
    inside: &'t [Entry<'t>],
}

/// Why a text is not a valid object, and the offset of the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadObject {
    NotJson(usize),
    NotAnObject,
    DuplicateKey(usize),
}

impl<'a> Tree<'a> {
    /// Parses a text that must be one object.
    pub(super) fn parse(text: &'a str) -> Result<Self, BadObject> {
        match read(text) {
            Some(entries) => Ok(Tree { text, entries }),
            None => Err(match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => BadObject::NotAnObject,
                Err(error) => BadObject::NotJson(offset_of_error(text, &error)),
            }),
        }
    }

    /// Parses as much of a text as is the start of an object. A truncated value has no text.
    pub(super) fn parse_start(text: &'a str) -> Self {
        let mut reader = Reader::new(text);
        let _ = reader.object(0, 1);
        Tree { text, entries: reader.entries }
    }

    /// The object as far as it was parsed. Its keys may be duplicated.
    pub(super) fn root_as_read(&self) -> Object<'_> {
        Object { text: self.text, entries: &self.entries }
    }

    /// The whole object.
    pub(super) fn root(&self) -> Result<Object<'_>, BadObject> {
        Object::of(self.text, &self.entries)
    }
}

impl<'t> Object<'t> {
    fn of(text: &'t str, entries: &'t [Entry<'t>]) -> Result<Self, BadObject> {
        let object = Object { text, entries };
        match object.first_duplicate() {
            Some(field) => Err(BadObject::DuplicateKey(field.offset_in(text))),
            None => Ok(object),
        }
    }

    fn first_duplicate(self) -> Option<Field<'t>> {
        if self.keys_surely_differ() {
            return None;
        }
        if self.entries.len() > FEW {
            let mut seen = BTreeSet::new();
            return self.fields().find(|field| !seen.insert(field.identity()));
        }
        let stands_before = |(place, field): &(usize, Field<'_>)| {
            self.fields().take(*place).any(|earlier| earlier.identity() == field.identity())
        };
        self.fields().enumerate().find(stands_before).map(|(_, field)| field)
    }

    /// A fast check that is conclusive for all keys of ivy: whether the sums of the keys' first and
    /// last bytes differ.
    fn keys_surely_differ(self) -> bool {
        let mut sums = 0_u64;
        self.fields().all(|field| {
            let Key::Plain(key) = field.key else { return false };
            let ends = [key.as_bytes().first(), key.as_bytes().last()];
            let sum = ends.into_iter().flatten().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            let before = sums;
            sums |= 1 << (sum % 64);
            sums != before
        })
    }

    /// The entries of this object, without those of nested objects.
    pub(super) fn fields(self) -> impl Iterator<Item = Field<'t>> {
        let mut left = self.entries;
        std::iter::from_fn(move || {
            let (entry, behind) = left.split_first()?;
            let (inside, others) = behind.split_at_checked(entry.inside)?;
            left = others;
            Some(Field {
                key: &entry.key,
                value: Value { text: entry.text, kind: entry.kind, inside },
            })
        })
    }

    pub(super) fn get(self, key: &str) -> Option<Value<'t>> {
        self.fields().find(|field| field.key() == Some(key)).map(|field| field.value)
    }

    /// The value of a key, if it is present and of this type.
    pub(super) fn read<T: DeserializeOwned>(self, key: &str) -> Option<T> {
        self.get(key).and_then(Value::read)
    }

    /// The offset of a value in the object's text.
    pub(super) fn offset(self, value: Value<'_>) -> usize {
        offset_in(self.text, value.text)
    }
}

impl<'t> Field<'t> {
    /// The key, unless it contains an incomplete surrogate pair.
    pub(super) fn key(self) -> Option<&'t str> {
        self.identity().ok()
    }

    /// The identity of a key for finding duplicates: its text, or its spelling if it has none
    /// because of an incomplete surrogate pair.
    fn identity(self) -> Result<&'t str, &'t str> {
        match self.key {
            Key::Plain(key) => Ok(key),
            Key::Escaped(key) => key.text.as_deref().ok_or(key.spelling),
        }
    }

    /// The key as it was written, with quotes and escapes.
    pub(super) fn raw_key(self) -> Cow<'t, str> {
        match self.key {
            Key::Plain(key) => Cow::Owned(format!("\"{key}\"")),
            Key::Escaped(key) => Cow::Borrowed(key.spelling),
        }
    }

    fn offset_in(self, text: &str) -> usize {
        match self.key {
            Key::Plain(key) => offset_in(text, key).saturating_sub(1),
            Key::Escaped(key) => offset_in(text, key.spelling),
        }
    }

    pub(super) fn value(self) -> Value<'t> {
        self.value
    }
}

impl<'t> Value<'t> {
    pub(super) fn text(self) -> &'t str {
        self.text
    }

    /// The value's shape, if it is an array.
    pub(super) fn array(self) -> Option<Shape> {
        match self.kind {
            Kind::Array(shape) => Some(shape),
            Kind::Object | Kind::Plain | Kind::Other => None,
        }
    }

    /// The value as an object.
    pub(super) fn object(self) -> Result<Object<'t>, BadObject> {
        match self.kind {
            Kind::Object => Object::of(self.text, self.inside),
            Kind::Array(_) | Kind::Plain | Kind::Other => Err(BadObject::NotAnObject),
        }
    }

    /// The value as an object as far as it was parsed. Its keys may be duplicated.
    pub(super) fn object_as_read(self) -> Option<Object<'t>> {
        let is_object = matches!(self.kind, Kind::Object);
        is_object.then_some(Object { text: self.text, entries: self.inside })
    }

    /// The value as a string, if it is one. Copied only if it contains escapes.
    pub(super) fn as_str(self) -> Option<Cow<'t, str>> {
        match self.kind {
            Kind::Plain => Some(Cow::Borrowed(unquoted(self.text))),
            Kind::Object | Kind::Array(_) => None,
            Kind::Other => self.read().map(Cow::Owned),
        }
    }

    /// The value as this type, if it matches.
    pub(super) fn read<T: DeserializeOwned>(self) -> Option<T> {
        serde_json::from_str(self.text).ok()
    }
}

impl<'a> Key<'a> {
    fn escaped(spelling: &'a str) -> Self {
        let text = serde_json::from_str(spelling).ok();
        Key::Escaped(Box::new(EscapedKey { spelling, text }))
    }
}

/// The content between the quotes of a string.
fn unquoted(string: &str) -> &str {
    string.get(1..string.len() - 1).unwrap_or_default()
}

/// The offset of `part` in `text`, of which it is a slice.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// The byte offset of a `serde_json` error, which reports line and column.
pub(super) fn offset_of_error(text: &str, error: &serde_json::Error) -> usize {
    let lines_before = error.line().saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    (line_start + error.column().saturating_sub(1)).min(text.len())
}

/// The entries of a text that is one object; `None` for other texts.
fn read(text: &str) -> Option<Vec<Entry<'_>>> {
    let mut reader = Reader::new(text);
    let end = reader.object(0, 1)?;
    (reader.scanner.skip_whitespace(end) == text.len()).then_some(reader.entries)
}

/// Reads entries. Like those of a [`Scanner`], its methods take a position and return the next one.
struct Reader<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    entries: Vec<Entry<'a>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Reader { text, scanner: Scanner::new(text), entries: Vec::with_capacity(ROOM) }
    }

    fn object(&mut self, at: usize, level: usize) -> Option<usize> {
        let mut at = self.scanner.skip_token(at, b'{')?;
        if let Some(end) = self.scanner.skip_token(at, b'}') {
            return Some(end);
        }
        loop {
            at = self.entry(at, level)?;
            match self.scanner.skip_token(at, b',') {
                Some(next) => at = next,
                None => return self.scanner.skip_token(at, b'}'),
            }
        }
    }

    fn entry(&mut self, at: usize, level: usize) -> Option<usize> {
        let start = self.scanner.skip_whitespace(at);
        let (end, key) = match self.scanner.plain_string(start) {
            Some(end) => (end, Key::Plain(unquoted(self.text.get(start..end)?))),
            None => {
                let end = self.scanner.string(start)?;
                (end, Key::escaped(self.text.get(start..end)?))
            }
        };
        let start = self.scanner.skip_whitespace(self.scanner.skip_token(end, b':')?);
        let place = self.entries.len();
        self.entries.push(Entry { key, text: "", kind: Kind::Other, inside: 0 });
        let (end, kind) = match self.scanner.byte(start)? {
            b'{' if level < LEVELS => {
                let end = self.object(start, level + 1);
                let inside = self.entries.len() - place - 1;
                let entry = self.entries.get_mut(place)?;
                // Set before the end of the object is known, because a truncated object counts in
                // the start of a text.
                (entry.kind, entry.inside) = (Kind::Object, inside);
                (end?, Kind::Object)
            }
            b'{' => (self.scanner.measure_value(start)?.0, Kind::Other),
            b'[' => {
                let (end, shape) = self.scanner.measure_value(start)?;
                (end, Kind::Array(shape))
            }
            _ => match self.scanner.plain_string(start) {
                Some(end) => (end, Kind::Plain),
                None => (self.scanner.scalar(start)?, Kind::Other),
            },
        };
        let inside = self.entries.len() - place - 1;
        let entry = self.entries.get_mut(place)?;
        (entry.text, entry.kind, entry.inside) = (self.text.get(start..end)?, kind, inside);
        Some(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> BadObject {
        Tree::parse(text).and_then(|tree| tree.root().map(drop)).unwrap_err()
    }

    #[test]
    fn values_and_key_order_are_preserved() {
        let tree = Tree::parse(r#" {"b": 1e400 ,"\u0061":[ "\ud800" ]} "#).unwrap();
        let object = tree.root().unwrap();
        let fields: Vec<_> =
            object.fields().map(|field| (field.key().unwrap(), field.value().text())).collect();
        assert_eq!(fields, [("b", "1e400"), ("a", r#"[ "\ud800" ]"#)]);
        assert_eq!(object.fields().nth(1).unwrap().raw_key(), r#""\u0061""#);
        assert_eq!(object.offset(object.get("b").unwrap()), 7);
    }

    #[test]
    fn duplicate_keys_are_found_in_any_spelling() {
        assert_eq!(failure(r#"{"a":1,"\u0061":2}"#), BadObject::DuplicateKey(7));
        assert_eq!(failure(r#"{"\ud800":1,"\ud800":2}"#), BadObject::DuplicateKey(12));
        assert!(Tree::parse(r#"{"\ud800":1,"\ud801":2}"#).unwrap().root().is_ok());
    }

    #[test]
    fn nested_objects_are_parsed_and_their_keys_compared_separately() {
        let tree = Tree::parse(r#"{"a":{"b":{"a":1}, "c":2 },"b":{},"x":{"y":1,"y":2}}"#).unwrap();
        let root = tree.root().unwrap();
        assert_eq!(root.fields().count(), 3);
        let a = root.get("a").unwrap().object().unwrap();
        assert_eq!(a.fields().count(), 2);
        assert_eq!(a.get("b").unwrap().object().unwrap().read("a"), Some(1));
        assert_eq!((a.read("c"), a.offset(a.get("c").unwrap())), (Some(2), 18));
        assert_eq!(root.get("b").unwrap().object().unwrap().fields().count(), 0);
        let twice = root.get("x").unwrap().object().err();
        assert_eq!(twice, Some(BadObject::DuplicateKey(7)));
    }

    #[test]
    fn invalid_json_and_other_values_are_distinguished() {
        for text in ["null", "5", "\"x\"", "true", "[1]", " [] "] {
            assert_eq!(failure(text), BadObject::NotAnObject, "{text:?}");
        }
        for text in ["", " ", "[1", "nul", "{} x", "{}{}", "{'a':1}", "{\"a\":01}", "\u{feff}{}"] {
            assert!(matches!(failure(text), BadObject::NotJson(_)), "{text:?}");
        }
    }

    #[test]
    fn an_error_offset_counts_bytes_across_lines() {
        assert_eq!(failure("{\"é\":1,\n\n x}"), BadObject::NotJson(11));
        assert_eq!(failure("{\"a\":1"), BadObject::NotJson(5));
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Tree::parse(&deep).is_ok());
        let deep = format!("{}{{{}", "{\"a\":".repeat(100_000), "}".repeat(100_001));
        assert!(Tree::parse(&deep).is_ok());
    }
}
