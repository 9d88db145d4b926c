//! The fields of a JSON body, read one by one, each checked for its type.

use std::time::Duration;

use serde_json::{Map, Value};

use super::failure::Failure;

/// A JSON object. Keys that nobody reads are ignored, and so is `null` where a key may be missing.
#[derive(Debug)]
pub(crate) struct Fields {
    map: Map<String, Value>,
    strict: bool,
}

impl Fields {
    /// Parses a body. An empty one is an object without keys.
    ///
    /// With `strict`, a number must be written as a number; else a string of digits will do, which
    /// some programs send.
    pub(crate) fn parse(body: &[u8], strict: bool) -> Result<Self, Failure> {
        if body.trim_ascii().is_empty() {
            return Ok(Fields { map: Map::new(), strict });
        }
        // The parser bounds the depth by itself, and its errors name positions, not contents.
        match serde_json::from_slice(body) {
            Ok(Value::Object(map)) => Ok(Fields { map, strict }),
            Ok(_) => Err(Failure::bad_request("The body must be a JSON object")),
            Err(error) => Err(Failure::bad_request(format!("Malformed JSON: {error}"))),
        }
    }

    /// Whether the key is there, with whatever value.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// A value of any type; `null` if it is missing.
    pub(crate) fn take(&mut self, key: &str) -> Value {
        self.map.remove(key).unwrap_or_default()
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static str) -> Result<Option<String>, Failure> {
        match self.take(key) {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => Err(mistyped(key, "a string")),
        }
    }

    /// A text, where an empty one counts as missing.
    pub(crate) fn filled_text(&mut self, key: &'static str) -> Result<Option<String>, Failure> {
        Ok(self.text(key)?.filter(|text| !text.is_empty()))
    }

    /// A whole number.
    pub(crate) fn whole(&mut self, key: &'static str) -> Result<Option<u64>, Failure> {
        let number = match self.take(key) {
            Value::Null => return Ok(None),
            Value::Number(number) => number.as_u64(),
            Value::String(text) if !self.strict => text.parse().ok(),
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
            Value::Null => Ok(None),
            Value::Bool(flag) => Ok(Some(flag)),
            _ => Err(mistyped(key, "true or false")),
        }
    }

    /// An object.
    pub(crate) fn object(&mut self, key: &'static str) -> Result<Option<Fields>, Failure> {
        match self.take(key) {
            Value::Null => Ok(None),
            value => self.inner(key, value).map(Some),
        }
    }

    /// An array of whatever.
    pub(crate) fn array(&mut self, key: &'static str) -> Result<Option<Vec<Value>>, Failure> {
        match self.take(key) {
            Value::Null => Ok(None),
            Value::Array(values) => Ok(Some(values)),
            _ => Err(mistyped(key, "an array")),
        }
    }

    /// An array of objects.
    pub(crate) fn objects(&mut self, key: &'static str) -> Result<Option<Vec<Fields>>, Failure> {
        let Some(values) = self.array(key)? else { return Ok(None) };
        values.into_iter().map(|value| self.inner(key, value)).collect::<Result<_, _>>().map(Some)
    }

    /// The object that this value, found under this key, must be.
    pub(crate) fn inner(&self, key: &'static str, value: Value) -> Result<Fields, Failure> {
        match value {
            Value::Object(map) => Ok(Fields { map, strict: self.strict }),
            _ => Err(mistyped(key, "an object, or hold objects")),
        }
    }

    /// All keys and values.
    pub(crate) fn into_map(self) -> Map<String, Value> {
        self.map
    }
}

fn mistyped(key: &str, wanted: &str) -> Failure {
    Failure::bad_request(format!("{key} must be {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::parse(json.as_bytes(), false).unwrap()
    }

    #[test]
    fn an_empty_body_has_no_fields() {
        for body in ["", " \r\n", "{}"] {
            assert!(fields(body).into_map().is_empty(), "{body:?}");
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
            let failure = fields(&format!("{{\"n\":{value}}}")).whole("n").unwrap_err();
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
    fn an_array_is_no_object() {
        assert!(fields(r#"{"queue":["a"]}"#).object("queue").is_err());
        assert!(fields(r#"{"messages":[["a"]]}"#).objects("messages").is_err());
    }
}
