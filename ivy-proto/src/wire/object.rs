//! JSON objects, read one level deep: the keys in their order, the values as text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// With so few entries, comparing each with each costs less than to sort them.
const FEW: usize = 16;

/// A JSON object whose keys differ from each other. Values are not looked into, so neither their
/// depth nor the size of their numbers matters.
pub(super) struct Object<'a> {
    text: &'a str,
    entries: Vec<Entry<'a>>,
}

/// A key and its value.
pub(super) struct Entry<'a> {
    key: Key<'a>,
    value: &'a RawValue,
}

enum Key<'a> {
    /// Written without escapes, as almost all are.
    Plain(&'a str),
    /// Its spelling, and its text unless it holds half a surrogate pair.
    Escaped(&'a RawValue, Option<Cow<'a, str>>),
}

/// Why a text is not such an object, and the byte where that was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadObject {
    NotJson(usize),
    NotAnObject,
    DuplicateKey(usize),
}

impl<'a> Object<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, BadObject> {
        let syntax = |error: serde_json::Error| BadObject::NotJson(offset_of_error(text, &error));
        if !text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('{') {
            serde_json::from_str::<IgnoredAny>(text).map_err(syntax)?;
            return Err(BadObject::NotAnObject);
        }
        let entries = match serde_json::from_str::<Entries<'a, &str>>(text) {
            Ok(entries) => entries.0,
            // An escaped key is no `&str`.
            Err(_) if text.contains('\\') => {
                serde_json::from_str::<Entries<'a, &RawValue>>(text).map_err(syntax)?.0
            }
            Err(error) => return Err(syntax(error)),
        };
        let object = Object { text, entries };
        match object.first_duplicate() {
            Some(entry) => Err(BadObject::DuplicateKey(entry.offset_in(text))),
            None => Ok(object),
        }
    }

    fn first_duplicate(&self) -> Option<&Entry<'a>> {
        let entries = &self.entries;
        if entries.len() > FEW {
            let mut seen = BTreeSet::new();
            return entries.iter().find(|entry| !seen.insert(entry.identity()));
        }
        let twice = |(place, entry): &(usize, &Entry<'_>)| {
            entries[..*place].iter().any(|earlier| earlier.identity() == entry.identity())
        };
        entries.iter().enumerate().find(twice).map(|(_, entry)| entry)
    }

    pub(super) fn entries(&self) -> &[Entry<'a>] {
        &self.entries
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.entries.iter().find(|entry| entry.key() == Some(key)).map(|entry| entry.value)
    }

    /// The value of a key, if it is there and of this type.
    pub(super) fn read<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.get(key).and_then(read)
    }

    /// Where a value of this object starts in the object's text.
    pub(super) fn offset(&self, value: &RawValue) -> usize {
        offset_in(self.text, value.get())
    }
}

/// The value as a text, if it is one. It is copied only if it has escapes.
pub(super) fn as_text(value: &RawValue) -> Option<Cow<'_, str>> {
    let quoted = value.get();
    if quoted.contains('\\') {
        return read(value).map(Cow::Owned);
    }
    quoted.strip_prefix('"')?.strip_suffix('"').map(Cow::Borrowed)
}

/// The value as this type, if it is of it.
pub(super) fn read<T: DeserializeOwned>(value: &RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

impl<'a> Entry<'a> {
    /// The key, unless it holds half a surrogate pair.
    pub(super) fn key(&self) -> Option<&str> {
        match &self.key {
            Key::Plain(key) => Some(key),
            Key::Escaped(_, key) => key.as_deref(),
        }
    }

    /// What two entries must not have in common. A key with half a surrogate pair has no text to
    /// compare; then its spelling decides.
    fn identity(&self) -> Result<&str, &str> {
        match &self.key {
            Key::Plain(key) => Ok(key),
            Key::Escaped(raw, key) => key.as_deref().ok_or(raw.get()),
        }
    }

    /// The key as it is written, with quotes and escapes.
    pub(super) fn raw_key(&self) -> Cow<'a, str> {
        match self.key {
            Key::Plain(key) => Cow::Owned(format!("\"{key}\"")),
            Key::Escaped(raw, _) => Cow::Borrowed(raw.get()),
        }
    }

    fn offset_in(&self, text: &str) -> usize {
        match self.key {
            Key::Plain(key) => offset_in(text, key).saturating_sub(1),
            Key::Escaped(raw, _) => offset_in(text, raw.get()),
        }
    }

    pub(super) fn value(&self) -> &'a RawValue {
        self.value
    }
}

impl<'a> From<&'a str> for Key<'a> {
    fn from(key: &'a str) -> Self {
        Key::Plain(key)
    }
}

impl<'a> From<&'a RawValue> for Key<'a> {
    fn from(raw: &'a RawValue) -> Self {
        Key::Escaped(raw, as_text(raw))
    }
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

/// Entries whose keys are read as `Read`.
struct Entries<'a, Read>(Vec<Entry<'a>>, PhantomData<Read>);

impl<'de, Read: Deserialize<'de> + Into<Key<'de>>> Deserialize<'de> for Entries<'de, Read> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(Vec::new(), PhantomData))
    }
}

impl<'de, Read: Deserialize<'de> + Into<Key<'de>>> Visitor<'de> for Entries<'de, Read> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some(key) = map.next_key::<Read>()? {
            self.0.push(Entry { key: key.into(), value: map.next_value()? });
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> BadObject {
        Object::parse(text).err().unwrap()
    }

    #[test]
    fn values_keep_their_text_and_keys_their_order() {
        let object = Object::parse(r#" {"b": 1e400 ,"\u0061":[ "\ud800" ]} "#).unwrap();
        let entries: Vec<_> =
            object.entries().iter().map(|e| (e.key().unwrap(), e.value().get())).collect();
        assert_eq!(entries, [("b", "1e400"), ("a", r#"[ "\ud800" ]"#)]);
        assert_eq!(object.entries()[1].raw_key(), r#""\u0061""#);
        assert_eq!(object.offset(object.get("b").unwrap()), 7);
    }

    #[test]
    fn a_key_that_stands_twice_is_found_in_any_spelling() {
        assert_eq!(failure(r#"{"a":1,"\u0061":2}"#), BadObject::DuplicateKey(7));
        assert_eq!(failure(r#"{"\ud800":1,"\ud800":2}"#), BadObject::DuplicateKey(12));
        assert!(Object::parse(r#"{"\ud800":1,"\ud801":2}"#).is_ok());
    }

    #[test]
    fn what_is_no_json_is_told_from_what_is_no_object() {
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
        assert!(Object::parse(&deep).is_ok());
    }
}
