//! The JSON of a request, validated once as a whole and read in place.
//!
//! A batch contains up to a hundred messages, and building a tree of them with strings of its own
//! would cost more than everything the broker does with them. So only a list of the positions of
//! all values is built.

mod reader;
mod serde_error;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use self::reader::{ReadError, Reader};

/// A JSON text, with the positions of all its values.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    text: &'a str,
    nodes: Vec<Node>,
}

/// A value or a key, in the order of the text: an array or object precedes its contents.
#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// Its position in the text; for a string, without its quotes.
    start: u32,
    end: u32,
    /// The index of the node after this value and its contents.
    next: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Null,
    Flag,
    Number,
    Plain,
    /// A string with escapes.
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
    /// In order, including repeated keys.
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
pub(crate) struct Elements<'a>(Children<'a>);

/// The keys and values of an object.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entries<'a>(Children<'a>);

#[derive(Clone, Copy, Debug)]
struct Children<'a> {
    document: &'a Document<'a>,
    next: usize,
    end: usize,
}

impl<'a> Document<'a> {
    /// Parses a text. An error contains a position, and no contents.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, BadDocument> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err(BadDocument::Malformed(serde_error::error(bytes)));
        };
        match Reader::new(text).read() {
            Ok(nodes) => Ok(Document { text, nodes }),
            Err(ReadError::TooMany) => Err(BadDocument::TooManyValues),
            Err(ReadError::Malformed) => Err(BadDocument::Malformed(serde_error::error(bytes))),
        }
    }

    /// The root value.
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

    #[inline]
    fn at(&self, index: usize) -> Json<'_> {
        let Some(node) = self.nodes.get(index) else { return Json::Null };
        let children = || Children { document: self, next: index + 1, end: node.next as usize };
        let written = || &self.text[node.start as usize..node.end as usize];
        match node.kind {
            Kind::Null => Json::Null,
            Kind::Flag => Json::Flag(written() == "true"),
            Kind::Number => Json::Number(written()),
            Kind::Plain => Json::Text(Text { written: written(), is_plain: true }),
            Kind::Escaped => Json::Text(Text { written: written(), is_plain: false }),
            Kind::Array => Json::Array(Elements(children())),
            Kind::Object => Json::Object(Entries(children())),
        }
    }
}

/// Why a text is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadDocument {
    /// It is not JSON.
    #[error("Malformed JSON{}", .0.as_ref().map(|error| format!(": {error}")).unwrap_or_default())]
    Malformed(Option<serde_json::Error>),
    /// No valid request has as many values, and their positions would take many times the memory of
    /// the text.
    #[error("Too many values in the body")]
    TooManyValues,
}

impl<'a> Text<'a> {
    /// The string's value.
    pub(crate) fn read(self) -> Cow<'a, str> {
        if self.is_plain {
            return Cow::Borrowed(self.written);
        }
        let text = serde_json::from_str(&format!("\"{}\"", self.written));
        Cow::Owned(text.expect("its escapes were checked"))
    }

    /// The text between its quotes.
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
        let Children { document, mut next, end } = self.0;
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

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Each element takes at least one node.
        (usize::from(!self.is_empty()), Some(self.0.end.saturating_sub(self.0.next)))
    }
}

impl<'a> Entries<'a> {
    /// The value of a key. The last one wins.
    pub(crate) fn get(self, key: &str) -> Option<Json<'a>> {
        let Children { document, next: mut name, end } = self.0;
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

    /// Visits all entries once.
    #[inline]
    pub(crate) fn for_each(self, mut each: impl FnMut(&str, Json<'a>)) {
        let Children { document, next: mut name, end } = self.0;
        while name < end
            && let Some([key, value]) = document.nodes.get(name..).and_then(<[_]>::first_chunk)
        {
            let json = document.at(name + 1);
            name = value.next as usize;
            match (key.kind, document.text.get(key.start as usize..key.end as usize)) {
                (Kind::Plain, Some(key)) => each(key, json),
                (_, Some(written)) => each(&Text { written, is_plain: false }.read(), json),
                (_, None) => {}
            }
        }
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

impl<'a> Iterator for Children<'a> {
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
