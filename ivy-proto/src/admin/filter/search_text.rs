//! Texts to search for.

use std::fmt;

use crate::wire::json::push_escaped;

use super::InvalidFilter;

/// A text to search for; not empty. `Debug` shows only its length, because it may be personal data.
#[derive(Clone, PartialEq, Eq)]
pub struct SearchText {
    text: String,
    /// The text as it is written within a JSON string, if that differs.
    escaped: Option<String>,
}

impl SearchText {
    /// Searches for this text.
    ///
    /// # Errors
    /// If it is empty.
    pub fn new(text: &str) -> Result<Self, InvalidFilter> {
        if text.is_empty() {
            return Err(InvalidFilter::SearchText);
        }
        let mut escaped = Vec::with_capacity(text.len());
        push_escaped(&mut escaped, text.as_bytes());
        let escaped = String::from_utf8(escaped).ok().filter(|escaped| escaped != text);
        Ok(SearchText { text: text.to_owned(), escaped })
    }

    /// Whether it occurs in a text.
    pub(super) fn is_in(&self, text: &str) -> bool {
        text.contains(&self.text)
    }

    /// Whether it occurs in a JSON text: as it is, as it is written in a string, or in a string
    /// whose characters are escaped in another way.
    pub(super) fn is_in_json(&self, json: &str) -> bool {
        self.is_in(json)
            || self.escaped.as_ref().is_some_and(|escaped| json.contains(escaped))
            || json.contains("\\u") && self.is_in_a_string(json)
    }

    /// Whether it occurs in one of the strings of a JSON text.
    fn is_in_a_string(&self, json: &str) -> bool {
        let mut rest = json;
        while let Some(start) = rest.find('"') {
            let behind = &rest[start..];
            let mut strings = serde_json::Deserializer::from_str(behind).into_iter::<String>();
            match strings.next() {
                Some(Ok(string)) if self.is_in(&string) => return true,
                Some(Ok(_)) => rest = &behind[strings.byte_offset()..],
                // An incomplete surrogate pair: no text is in this string.
                Some(Err(_)) | None => rest = end_of_string(behind),
            }
        }
        false
    }
}

/// What follows a string that cannot be read as text.
fn end_of_string(from_quote: &str) -> &str {
    let mut escaped = false;
    for (at, byte) in from_quote.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return &from_quote[at + 1..],
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    ""
}

impl fmt::Debug for SearchText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SearchText({} bytes)", self.text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(text: &str, json: &str) -> bool {
        SearchText::new(text).unwrap().is_in_json(json)
    }

    #[test]
    fn a_text_is_found_however_it_is_escaped() {
        let json = r#"["plain",{"k\u0065y":"sa\u0069d \"no\""}, "\ud800", "a\u000ab"]"#;
        for text in ["plain", "key", "said", "said \"no\"", "a\nb"] {
            assert!(is_in(text, json), "{text}");
        }
        for text in ["Plain", "\u{1f680}", "a b"] {
            assert!(!is_in(text, json), "{text}");
        }
    }

    #[test]
    fn quotes_and_backslashes_are_found_in_strings() {
        assert!(is_in(r#"C:\dir "x""#, r#"["C:\\dir \"x\""]"#));
    }

    #[test]
    fn an_empty_text_is_refused() {
        assert_eq!(SearchText::new("").unwrap_err(), InvalidFilter::SearchText);
    }
}
