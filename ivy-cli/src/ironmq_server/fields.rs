//! The fields of a JSON body, read one by one and checked for their types.

use std::borrow::Cow;
use std::time::Duration;

use super::failure::Failure;
use super::json::{Document, Elements, Entries, Json, Text};

/// A JSON object. Unknown keys are ignored; `null` counts as missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    /// `None` if there is no body.
    entries: Option<Entries<'a>>,
    strict: bool,
}

/// Parses a body as JSON. `None` if it is empty.
pub(crate) fn parse(body: &[u8]) -> Result<Option<Document<'_>>, Failure> {
    if body.trim_ascii().is_empty() {
        return Ok(None);
    }
    Document::parse(body).map(Some).map_err(|error| Failure::bad_request(error.to_string()))
}

impl<'a> Fields<'a> {
    /// The fields of a body. A missing body is an object without keys.
    ///
    /// With `strict`, a number must be a JSON number; else a string of digits is accepted as well,
    /// because some programs send it.
    pub(crate) fn of(body: Option<&'a Document<'_>>, strict: bool) -> Result<Self, Failure> {
        match body.map(Document::value) {
            None => Ok(Fields { entries: None, strict }),
            Some(Json::Object(entries)) => Ok(Fields { entries: Some(entries), strict }),
            Some(_) => Err(Failure::bad_request("The body must be a JSON object")),
        }
    }

    /// Whether the key is present, with any value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.get(key).is_some())
    }

    /// The field of a key. The last one wins.
    pub(crate) fn field(&self, key: &'static str) -> Field<'a> {
        let value = self.entries.and_then(|entries| entries.get(key)).unwrap_or(Json::Null);
        self.as_field(key, value)
    }

    /// A value found under a key, as its field.
    pub(crate) fn as_field(&self, key: &'static str, value: Json<'a>) -> Field<'a> {
        Field { key, value, strict: self.strict }
    }

    /// Visits all keys and values once, to read several of them. The last of a key wins.
    #[inline]
    pub(crate) fn for_each(&self, each: impl FnMut(&str, Json<'a>)) {
        if let Some(entries) = self.entries {
            entries.for_each(each);
        }
    }

    /// A string.
    pub(crate) fn text(&self, key: &'static str) -> Result<Option<Cow<'a, str>>, Failure> {
        self.field(key).text()
    }

    /// A string; an empty one counts as missing.
    pub(crate) fn non_empty_text(
        &self,
        key: &'static str,
    ) -> Result<Option<Cow<'a, str>>, Failure> {
        self.field(key).non_empty_text()
    }

    /// A whole number.
    pub(crate) fn integer(&self, key: &'static str) -> Result<Option<u64>, Failure> {
        self.field(key).integer()
    }

    /// A count; zero if it is missing.
    pub(crate) fn count(&self, key: &'static str) -> Result<usize, Failure> {
        let number = self.integer(key)?.unwrap_or_default();
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }

    /// Whole seconds.
    pub(crate) fn seconds(&self, key: &'static str) -> Result<Option<Duration>, Failure> {
        self.field(key).seconds()
    }

    /// A boolean.
    pub(crate) fn flag(&self, key: &'static str) -> Result<Option<bool>, Failure> {
        let Field { key, value, .. } = self.field(key);
        match value {
            Json::Null => Ok(None),
            Json::Flag(flag) => Ok(Some(flag)),
            _ => Err(mistyped(key, "true or false")),
        }
    }

    /// An object.
    pub(crate) fn object(&self, key: &'static str) -> Result<Option<Fields<'a>>, Failure> {
        self.field(key).object()
    }

    /// An array of any values.
    pub(crate) fn array(&self, key: &'static str) -> Result<Option<Elements<'a>>, Failure> {
        let Field { key, value, .. } = self.field(key);
        match value {
            Json::Null => Ok(None),
            Json::Array(values) => Ok(Some(values)),
            _ => Err(mistyped(key, "an array")),
        }
    }

    /// An array of objects.
    pub(crate) fn objects(
        &self,
        key: &'static str,
    ) -> Result<Option<impl Iterator<Item = Fields<'a>>>, Failure> {
        let Some(values) = self.array(key)? else { return Ok(None) };
        if !values.are_objects() {
            return Err(mistyped(key, "an array of objects"));
        }
        let outer = *self;
        let object = move |value| match value {
            Json::Object(entries) => Some(outer.inner(entries)),
            _ => None,
        };
        Ok(Some(values.filter_map(object)))
    }

    /// An object inside this one.
    pub(crate) fn inner(&self, entries: Entries<'a>) -> Fields<'a> {
        Fields { entries: Some(entries), strict: self.strict }
    }
}

/// One value of an object; `null` if it is missing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    key: &'static str,
    value: Json<'a>,
    strict: bool,
}

impl<'a> Field<'a> {
    /// A string.
    pub(crate) fn text(self) -> Result<Option<Cow<'a, str>>, Failure> {
        Ok(self.raw_text()?.map(Text::read))
    }

    /// A string as it is written.
    pub(crate) fn raw_text(self) -> Result<Option<Text<'a>>, Failure> {
        match self.value {
            Json::Null => Ok(None),
            Json::Text(text) => Ok(Some(text)),
            _ => Err(mistyped(self.key, "a string")),
        }
    }

    /// A string; an empty one counts as missing.
    pub(crate) fn non_empty_text(self) -> Result<Option<Cow<'a, str>>, Failure> {
        Ok(self.text()?.filter(|text| !text.is_empty()))
    }

    fn integer(self) -> Result<Option<u64>, Failure> {
        let number = match self.value {
            Json::Null => return Ok(None),
            // As a JSON number, it has no plus sign.
            Json::Number(number) => number.parse().ok(),
            Json::Text(text) if !self.strict => text.read().parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| mistyped(self.key, "a non-negative integer"))
    }

    /// Whole seconds.
    pub(crate) fn seconds(self) -> Result<Option<Duration>, Failure> {
        Ok(self.integer()?.map(Duration::from_secs))
    }

    fn object(self) -> Result<Option<Fields<'a>>, Failure> {
        match self.value {
            Json::Null => Ok(None),
            Json::Object(entries) => {
                Ok(Some(Fields { entries: Some(entries), strict: self.strict }))
            }
            _ => Err(mistyped(self.key, "an object")),
        }
    }

    /// An object whose values are strings.
    pub(crate) fn texts(self) -> Result<Option<Vec<(String, String)>>, Failure> {
        let Some(fields) = self.object()? else { return Ok(None) };
        let pair = |(name, value): (Text<'a>, Json<'a>)| match value {
            Json::Text(value) => Ok((name.read().into_owned(), value.read().into_owned())),
            _ => Err(mistyped(self.key, "an object of strings")),
        };
        fields.entries.into_iter().flatten().map(pair).collect::<Result<_, _>>().map(Some)
    }
}

fn mistyped(key: &str, expected: &str) -> Failure {
    Failure::bad_request(format!("{key} must be {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the fields of a body.
    fn of<T>(
        body: impl AsRef<[u8]>,
        strict: bool,
        read: impl FnOnce(Fields<'_>) -> T,
    ) -> Result<T, Failure> {
        let document = parse(body.as_ref())?;
        Fields::of(document.as_ref(), strict).map(read)
    }

    #[test]
    fn an_empty_body_has_no_fields() {
        for body in ["", " \r\n", "{}"] {
            assert_eq!(of(body, false, |fields| fields.has("")), Ok(false), "{body:?}");
        }
    }

    #[test]
    fn a_body_that_is_not_an_object_is_refused() {
        for body in ["null", "5", "[]", "\"x\"", "{", "{}x", "{'a':1}", "\u{feff}{}"] {
            let failure = of(body, false, |_| ()).unwrap_err();
            assert_eq!(failure.status, 400, "{body:?}");
        }
        assert_eq!(of(b"{\"a\":\"\xff\"}", false, |_| ()).unwrap_err().status, 400);
    }

    #[test]
    fn deep_nesting_is_refused_on_a_small_stack() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let body = format!("{{\"a\":{}1{}}}", open.repeat(100_000), close.repeat(100_000));
            let parsing = std::thread::Builder::new()
                .stack_size(1024 * 1024)
                .spawn(move || of(body, false, |_| ()))
                .unwrap();
            assert_eq!(parsing.join().unwrap().unwrap_err().status, 400);
        }
    }

    #[test]
    fn the_error_of_a_malformed_body_does_not_repeat_it() {
        let failure = of(b"{\"token\":\"secret\",}", false, |_| ()).unwrap_err();
        assert!(!failure.message.contains("secret"), "{}", failure.message);
    }

    #[test]
    fn numbers_must_be_whole_and_not_negative() {
        for value in ["-1", "1.5", "1e3", "true", "\"x\"", "\"\"", "[1]", "18446744073709551616"] {
            let body = format!("{{\"n\":{value}}}");
            let failure = of(&body, false, |fields| fields.integer("n")).unwrap().unwrap_err();
            assert_eq!(failure.message, "n must be a non-negative integer", "{value}");
        }
    }

    #[test]
    fn a_number_written_as_a_string_is_accepted_unless_strict() {
        let body = br#"{"delay":"1000"}"#;
        let delay = |strict| of(body, strict, |fields| fields.seconds("delay")).unwrap();
        assert_eq!(delay(false), Ok(Some(Duration::from_secs(1000))));
        assert!(delay(true).is_err());
    }

    #[test]
    fn null_counts_as_missing() {
        of(r#"{"a":null}"#, false, |fields| {
            assert_eq!(fields.text("a"), Ok(None));
            assert_eq!(fields.integer("a"), Ok(None));
            assert!(fields.object("a").unwrap().is_none());
            assert!(fields.array("a").unwrap().is_none());
        })
        .unwrap();
    }

    #[test]
    fn the_last_of_a_repeated_key_wins() {
        assert_eq!(
            of(r#"{"n":1,"n":2}"#, false, |fields| fields.integer("n")).unwrap(),
            Ok(Some(2))
        );
    }

    #[test]
    fn an_array_is_not_an_object() {
        let body = r#"{"queue":["a"],"messages":[["a"]]}"#;
        of(body, false, |fields| {
            assert!(fields.object("queue").is_err());
            assert!(fields.objects("messages").is_err());
        })
        .unwrap();
    }
}
