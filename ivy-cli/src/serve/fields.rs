//! The fields of a JSON body, read one by one, each checked for its type.

use std::borrow::Cow;
use std::time::Duration;

use super::failure::Failure;
use super::json::Json;

/// A JSON object. Keys that nobody reads are ignored, and so is `null` where a key may be missing.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    entries: Vec<(Cow<'a, str>, Json<'a>)>,
    strict: bool,
}

impl<'a> Fields<'a> {
    /// Parses a body. An empty one is an object without keys.
    ///
    /// With `strict`, a number must be written as a number; else a string of digits will do, which
    /// some programs send.
    pub(crate) fn parse(body: &'a [u8], strict: bool) -> Result<Self, Failure> {
        if body.trim_ascii().is_empty() {
            return Ok(Fields { entries: Vec::new(), strict });
        }
        // The parser bounds the depth by itself, and its errors name positions, not contents.
        match serde_json::from_slice(body) {
            Ok(Json::Object(entries)) => Ok(Fields { entries, strict }),
            Ok(_) => Err(Failure::bad_request("The body must be a JSON object")),
            Err(error) => Err(Failure::bad_request(format!("Malformed JSON: {error}"))),
        }
    }

    /// Whether the key is there, with whatever value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(other, _)| other == key)
    }

    /// A value of any type; `null` if it is missing. The last one counts.
    pub(crate) fn take(&mut self, key: &str) -> Json<'a> {
        let found = self.entries.iter().rposition(|(other, _)| other == key);
        found.map_or(Json::Null, |place| self.entries.swap_remove(place).1)
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<Cow<'a, str>>, Failure> {
        match self.take(key) {
            Json::Null => Ok(None),
            Json::Text(text) => Ok(Some(text)),
            _ => Err(mistyped(key, "a string")),
        }
    }

    /// A text, where an empty one counts as missing.
    pub(crate) fn filled_text(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Cow<'a, str>>, Failure> {
        Ok(self.text(key)?.filter(|text| !text.is_empty()))
    }

    /// A whole number.
    pub(crate) fn whole(&mut self, key: &'static str) -> Result<Option<u64>, Failure> {
        let number = match self.take(key) {
            Json::Null => return Ok(None),
            Json::Number(number) => number,
            Json::Text(text) if !self.strict => text.parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| mistyped(key, "a non-negative integer"))
    }

    /// A number of things; zero if it is missing.
    pub(crate) fn count(&mut self, key: &'static str) -> Result<usize, Failure> {
        let number = self.whole(key)?.unwrap_or_default();
        Ok(usize::try_from(number).unwrap_or(usize::MAX))
    }

    /// Whole seconds.
    pub(crate) fn seconds(&mut self, key: &'static str) -> Result<Option<Duration>, Failure> {
        Ok(self.whole(key)?.map(Duration::from_secs))
    }

    /// Yes or no.
    pub(crate) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, Failure> {
        match self.take(key) {
            Json::Null => Ok(None),
            Json::Flag(flag) => Ok(Some(flag)),
            _ => Err(mistyped(key, "true or false")),
        }
    }

    /// An object.
    pub(crate) fn object(&mut self, key: &'static str) -> Result<Option<Fields<'a>>, Failure> {
        match self.take(key) {
            Json::Null => Ok(None),
            Json::Object(entries) => Ok(Some(self.inner(entries))),
            _ => Err(mistyped(key, "an object")),
        }
    }

    /// An array of whatever.
    pub(crate) fn array(&mut self, key: &'static str) -> Result<Option<Vec<Json<'a>>>, Failure> {
        match self.take(key) {
            Json::Null => Ok(None),
            Json::Array(values) => Ok(Some(values)),
            _ => Err(mistyped(key, "an array")),
        }
    }

    /// An array of objects.
    pub(crate) fn objects(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Vec<Fields<'a>>>, Failure> {
        let Some(values) = self.array(key)? else { return Ok(None) };
        let object = |value| match value {
            Json::Object(entries) => Ok(self.inner(entries)),
            _ => Err(mistyped(key, "an array of objects")),
        };
        values.into_iter().map(object).collect::<Result<_, _>>().map(Some)
    }

    /// An object whose values are texts.
    pub(crate) fn texts(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Vec<(String, String)>>, Failure> {
        let Some(fields) = self.object(key)? else { return Ok(None) };
        let pair = |(name, value): (Cow<'a, str>, Json<'a>)| match value {
            Json::Text(value) => Ok((name.into_owned(), value.into_owned())),
            _ => Err(mistyped(key, "an object of strings")),
        };
        fields.entries.into_iter().map(pair).collect::<Result<_, _>>().map(Some)
    }

    /// An object inside of this one.
    pub(crate) fn inner(&self, entries: Vec<(Cow<'a, str>, Json<'a>)>) -> Fields<'a> {
        Fields { entries, strict: self.strict }
    }
}

fn mistyped(key: &str, wanted: &str) -> Failure {
    Failure::bad_request(format!("{key} must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields<'_> {
        Fields::parse(json.as_bytes(), false).unwrap()
    }

    #[test]
    fn an_empty_body_has_no_fields() {
        for body in ["", " \r\n", "{}"] {
            assert!(fields(body).entries.is_empty(), "{body:?}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["null", "5", "[]", "\"x\"", "{", "{}x", "{'a':1}", "\u{feff}{}"] {
            let failure = Fields::parse(body.as_bytes(), false).unwrap_err();
            assert_eq!(failure.status, 400, "{body:?}");
        }
        assert_eq!(Fields::parse(b"{\"a\":\"\xff\"}", false).unwrap_err().status, 400);
    }

    #[test]
    fn deep_nesting_is_refused_on_a_small_stack() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let body = format!("{{\"a\":{}1{}}}", open.repeat(100_000), close.repeat(100_000));
            let parsing = std::thread::Builder::new()
                .stack_size(1024 * 1024)
                .spawn(move || Fields::parse(body.as_bytes(), false).map(|_| ()))
                .unwrap();
            assert_eq!(parsing.join().unwrap().unwrap_err().status, 400);
        }
    }

    #[test]
    fn the_error_of_a_malformed_body_does_not_repeat_it() {
        let failure = Fields::parse(b"{\"token\":\"secret\",}", false).unwrap_err();
        assert!(!failure.message.contains("secret"), "{}", failure.message);
    }

    #[test]
    fn numbers_must_be_whole_and_not_negative() {
        for value in ["-1", "1.5", "1e3", "true", "\"x\"", "\"\"", "[1]", "18446744073709551616"] {
            let body = format!("{{\"n\":{value}}}");
            let failure = fields(&body).whole("n").unwrap_err();
            assert_eq!(failure.message, "n must be a non-negative integer", "{value}");
        }
    }

    #[test]
    fn a_number_written_as_a_string_is_accepted_unless_strict() {
        let body = br#"{"delay":"1000"}"#;
        let mut lenient = Fields::parse(body, false).unwrap();
        assert_eq!(lenient.seconds("delay"), Ok(Some(Duration::from_secs(1000))));
        assert!(Fields::parse(body, true).unwrap().seconds("delay").is_err());
    }

    #[test]
    fn null_counts_as_missing() {
        let mut fields = fields(r#"{"a":null,"b":null,"c":null,"d":null}"#);
        assert_eq!(fields.text("a"), Ok(None));
        assert_eq!(fields.whole("b"), Ok(None));
        assert!(fields.object("c").unwrap().is_none());
        assert_eq!(fields.array("d"), Ok(None));
    }

    #[test]
    fn of_a_key_that_stands_there_twice_the_last_counts() {
        assert_eq!(fields(r#"{"n":1,"n":2}"#).whole("n"), Ok(Some(2)));
    }

    #[test]
    fn an_array_is_no_object() {
        assert!(fields(r#"{"queue":["a"]}"#).object("queue").is_err());
        assert!(fields(r#"{"messages":[["a"]]}"#).objects("messages").is_err());
    }
}
