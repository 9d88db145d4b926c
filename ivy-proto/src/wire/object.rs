//! JSON objects as they were written: the keys in their order, the values as text.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::{DeserializeOwned, IgnoredAny};

use super::scan::Scanner;
use super::shape::Shape;

/// So deep are objects in objects read: a notice has `options`, in it `ivy`, and in it `error`.
/// What is deeper is kept as text only.
const LEVELS: usize = 4;

/// Room for the entries of almost all messages and notices.
const ROOM: usize = 12;

/// With so few entries, comparing each with each costs less than to sort them.
const FEW: usize = 16;

/// A JSON object and the objects in it, read in one pass. Other values are not looked into, so
/// neither their depth nor the size of their numbers matters.
pub(super) struct Tree<'a> {
    text: &'a str,
    /// Behind each entry whose value is an object, those of that object.
    entries: Vec<Entry<'a>>,
}

struct Entry<'a> {
    key: Key<'a>,
    text: &'a str,
    kind: Kind,
    /// How many of the entries that follow are inside its value.
    inside: usize,
}

enum Key<'a> {
    /// Written without escapes, as almost all are.
    Plain(&'a str),
    Escaped(Box<EscapedKey<'a>>),
}

struct EscapedKey<'a> {
    spelling: &'a str,
    /// Nothing if it holds half a surrogate pair.
    text: Option<String>,
}

/// What kind of value an entry has.
#[derive(Clone, Copy)]
enum Kind {
    Object,
    Array(Shape),
    /// A string without escapes.
    Plain,
    /// Another one without parts, or an object that is too deep to be read.
    Other,
}

/// One of the objects of a tree. Its keys differ from each other.
#[derive(Clone, Copy)]
pub(super) struct Object<'t> {
    text: &'t str,
    entries: &'t [Entry<'t>],
}

/// A key of an object, and its value.
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

/// Why a text is not such an object, and the byte where that was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadObject {
    NotJson(usize),
    NotAnObject,
    DuplicateKey(usize),
}

impl<'a> Tree<'a> {
    /// Reads a text that is to be one object.
    pub(super) fn parse(text: &'a str) -> Result<Self, BadObject> {
        match read(text) {
            Some(entries) => Ok(Tree { text, entries }),
            None => Err(match serde_json::from_str::<IgnoredAny>(text) {
                Ok(_) => BadObject::NotAnObject,
                Err(error) => BadObject::NotJson(offset_of_error(text, &error)),
            }),
        }
    }

    /// Reads as much of a text as is the start of an object. What it ends within has no text itself.
    pub(super) fn parse_start(text: &'a str) -> Self {
        let mut reader = Reader::new(text);
        let _ = reader.object(0, 1);
        Tree { text, entries: reader.entries }
    }

    /// The object as far as it was read, though keys may stand twice in it.
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

    /// Whether the keys differ by the sums of their first and last bytes alone, as all of ours do.
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

    /// The keys and values of this object, less those of objects in it.
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

    /// The value of a key, if it is there and of this type.
    pub(super) fn read<T: DeserializeOwned>(self, key: &str) -> Option<T> {
        self.get(key).and_then(Value::read)
    }

    /// Where a value of this object starts in the object's text.
    pub(super) fn offset(self, value: Value<'_>) -> usize {
        offset_in(self.text, value.text)
    }
}

impl<'t> Field<'t> {
    /// The key, unless it holds half a surrogate pair.
    pub(super) fn key(self) -> Option<&'t str> {
        self.identity().ok()
    }

    /// What two keys must not have in common. One with half a surrogate pair has no text to
    /// compare; then its spelling decides.
    fn identity(self) -> Result<&'t str, &'t str> {
        match self.key {
            Key::Plain(key) => Ok(key),
            Key::Escaped(key) => key.text.as_deref().ok_or(key.spelling),
        }
    }

    /// The key as it is written, with quotes and escapes.
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

    /// The value as an object as far as it was read, though keys may stand twice in it.
    pub(super) fn object_as_read(self) -> Option<Object<'t>> {
        let is_object = matches!(self.kind, Kind::Object);
        is_object.then_some(Object { text: self.text, entries: self.inside })
    }

    /// The value as a string, if it is one. It is copied only if it has escapes.
    pub(super) fn as_str(self) -> Option<Cow<'t, str>> {
        match self.kind {
            Kind::Plain => Some(Cow::Borrowed(unquoted(self.text))),
            Kind::Object | Kind::Array(_) => None,
            Kind::Other => self.read().map(Cow::Owned),
        }
    }

    /// The value as this type, if it is of it.
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

/// What stands between the quotes of a string.
fn unquoted(string: &str) -> &str {
    string.get(1..string.len() - 1).unwrap_or_default()
}

/// Where `part`, a piece of `text`, starts in it.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// The byte where `serde_json` noticed an error: it tells a line and a column.
pub(super) fn offset_of_error(text: &str, error: &serde_json::Error) -> usize {
    let lines_before = error.line().saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    (line_start + error.column().saturating_sub(1)).min(text.len())
}

/// The entries of a text that is one object, and nothing if it is none.
fn read(text: &str) -> Option<Vec<Entry<'_>>> {
    let mut reader = Reader::new(text);
    let end = reader.object(0, 1)?;
    (reader.scanner.token(end) == text.len()).then_some(reader.entries)
}

/// Reads entries. Like those of a [`Scanner`], its functions take a place and give the one behind.
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
        let mut at = self.scanner.take(at, b'{')?;
        if let Some(end) = self.scanner.take(at, b'}') {
            return Some(end);
        }
        loop {
            at = self.entry(at, level)?;
            match self.scanner.take(at, b',') {
                Some(next) => at = next,
                None => return self.scanner.take(at, b'}'),
            }
        }
    }

    fn entry(&mut self, at: usize, level: usize) -> Option<usize> {
        let start = self.scanner.token(at);
        let (end, key) = match self.scanner.plain_string(start) {
            Some(end) => (end, Key::Plain(unquoted(self.text.get(start..end)?))),
            None => {
                let end = self.scanner.string(start)?;
                (end, Key::escaped(self.text.get(start..end)?))
            }
        };
        let start = self.scanner.token(self.scanner.take(end, b':')?);
        let place = self.entries.len();
        self.entries.push(Entry { key, text: "", kind: Kind::Other, inside: 0 });
        let (end, kind) = match self.scanner.byte(start)? {
            b'{' if level < LEVELS => {
                let end = self.object(start, level + 1);
                let inside = self.entries.len() - place - 1;
                let entry = self.entries.get_mut(place)?;
                // Before it is known to end: what was read of it counts in the start of a text.
                (entry.kind, entry.inside) = (Kind::Object, inside);
                (end?, Kind::Object)
            }
            b'{' => (self.scanner.value(start)?.0, Kind::Other),
            b'[' => {
                let (end, shape) = self.scanner.value(start)?;
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
    fn values_keep_their_text_and_keys_their_order() {
        let tree = Tree::parse(r#" {"b": 1e400 ,"\u0061":[ "\ud800" ]} "#).unwrap();
        let object = tree.root().unwrap();
        let fields: Vec<_> =
            object.fields().map(|field| (field.key().unwrap(), field.value().text())).collect();
        assert_eq!(fields, [("b", "1e400"), ("a", r#"[ "\ud800" ]"#)]);
        assert_eq!(object.fields().nth(1).unwrap().raw_key(), r#""\u0061""#);
        assert_eq!(object.offset(object.get("b").unwrap()), 7);
    }

    #[test]
    fn a_key_that_stands_twice_is_found_in_any_spelling() {
        assert_eq!(failure(r#"{"a":1,"\u0061":2}"#), BadObject::DuplicateKey(7));
        assert_eq!(failure(r#"{"\ud800":1,"\ud800":2}"#), BadObject::DuplicateKey(12));
        assert!(Tree::parse(r#"{"\ud800":1,"\ud801":2}"#).unwrap().root().is_ok());
    }

    #[test]
    fn objects_in_objects_are_read_with_them_and_their_keys_compared_apart() {
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
    fn what_is_no_json_is_distinguished_from_what_is_no_object() {
        for text in ["null", "5", "\"x\"", "true", "[1]", " [] "] {
            assert_eq!(failure(text), BadObject::NotAnObject, "{text:?}");
        }
        for text in ["", " ", "[1", "nul", "{} x", "{}{}", "{'a':1}", "{\"a\":01}", "\u{feff}{}"] {
            assert!(matches!(failure(text), BadObject::NotJson(_)), "{text:?}");
        }
    }

    #[test]
    fn an_error_is_placed_by_bytes_across_lines() {
        assert_eq!(failure("{\"é\":1,\n\n x}"), BadObject::NotJson(11));
        assert_eq!(failure("{\"a\":1"), BadObject::NotJson(5));
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Tree::parse(&deep).is_ok());
        let deep = format!("{}{{{}", "{\"a\":".repeat(100_000), "}".repeat(100_001));
        assert!(Tree::parse(&deep).is_ok());
    }
}
