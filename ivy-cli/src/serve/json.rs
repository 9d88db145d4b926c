//! JSON as it is read from a request: borrowed from the request's bytes where that can be.
//!
//! Batches bring a hundred messages at once, and copying every key and every text of them costs
//! more than all that the broker does with them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Flag(bool),
    /// Only whole numbers that are not negative and fit are told apart: no field takes others.
    Number(Option<u64>),
    Text(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// In the order of the text, and with what stands there twice.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json<'de>, E> {
        Ok(Json::Flag(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(Some(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(number.try_into().ok()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json<'de>, E> {
        Ok(Json::Number(None))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Json<'de>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = array.next_element()? {
            values.push(value);
        }
        Ok(Json::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json<'de>, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = object.next_key()? {
            let Json::Text(key) = key else { return Err(A::Error::custom("a key is no text")) };
            entries.push((key, object.next_value()?));
        }
        Ok(Json::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Json<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let text = r#"[null,true,5,"a",["b"],{"c":6}]"#;
        let text_of = |text| Json::Text(Cow::Borrowed(text));
        assert_eq!(
            parse(text),
            Json::Array(vec![
                Json::Null,
                Json::Flag(true),
                Json::Number(Some(5)),
                text_of("a"),
                Json::Array(vec![text_of("b")]),
                Json::Object(vec![("c".into(), Json::Number(Some(6)))]),
            ])
        );
    }

    #[test]
    fn numbers_that_are_not_whole_are_not_told_apart() {
        for text in ["-1", "1.5", "1e3", "18446744073709551616", "-0.0"] {
            assert_eq!(parse(text), Json::Number(None), "{text}");
        }
        assert_eq!(parse("18446744073709551615"), Json::Number(Some(u64::MAX)));
    }

    #[test]
    fn texts_are_borrowed_unless_they_are_escaped() {
        assert!(matches!(parse("\"plain ü\""), Json::Text(Cow::Borrowed("plain ü"))));
        assert!(matches!(parse(r#""a\nb""#), Json::Text(Cow::Owned(text)) if text == "a\nb"));
        let Json::Object(entries) = parse(r#"{"plain":1,"\u0061":2}"#) else { panic!() };
        assert!(matches!(entries[0].0, Cow::Borrowed("plain")));
        assert_eq!(entries[1].0, "a");
    }
}
