//! The JSON of a response, read in one pass and without recursion: unneeded values are skipped,
//! however deeply nested.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::path::MAX_ID_LENGTH;
use ivy_proto::queue::{Body, ReceivedBody};
use ivy_proto::text::is_printable;
use ivy_proto::wire::json::unescaped;

/// A JSON object that is read as `T`; a repeated key is an error. A derived `Deserialize` alone
/// would accept an array as well, its elements as the fields.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// An element of an array that should be an object. Anything else is skipped, so that it does not
/// affect the other elements.
pub(crate) enum Element<T> {
    Object(T),
    Other,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ElementVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ElementVisitor<T> {
            type Value = Element<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Element::Object)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Element::Other)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Element::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Element::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Element::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Element::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Element::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Element::Other)
            }
        }

        deserializer.deserialize_any(ElementVisitor(PhantomData))
    }
}

/// The elements of an array that are objects, at most `MAX` of them. All others are skipped and
/// counted, so that an array of junk takes no memory.
pub(crate) struct Entries<T, const MAX: usize> {
    pub(crate) objects: Vec<T>,
    pub(crate) others: usize,
}

impl<T, const MAX: usize> Default for Entries<T, MAX> {
    fn default() -> Self {
        Entries { objects: Vec::new(), others: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Entries<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T, const MAX: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for EntriesVisitor<T, MAX> {
            type Value = Entries<T, MAX>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut entries = Entries::default();
                while entries.objects.len() < MAX {
                    match seq.next_element()? {
                        Some(Element::Object(object)) => entries.objects.push(object),
                        Some(Element::Other) => entries.others += 1,
                        None => return Ok(entries),
                    }
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    entries.others += 1;
                }
                Ok(entries)
            }
        }

        deserializer.deserialize_seq(EntriesVisitor(PhantomData))
    }
}

/// The string that the value is, if it is a valid one: an unpaired surrogate is not.
pub(crate) fn text(json: &str) -> Option<Cow<'_, str>> {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        // A string without escapes is its own value.
        Some(inner) if !inner.contains('\\') => Some(Cow::Borrowed(inner)),
        Some(inner) => unescaped(inner).map(Cow::Owned),
        None => None,
    }
}

/// An id: a string or, as some servers write it, a whole number, of which every digit counts.
pub(crate) fn id(json: &str) -> Option<Cow<'_, str>> {
    let is_number = json.bytes().all(|byte| byte.is_ascii_digit());
    let id = if is_number { Cow::Borrowed(json) } else { text(json)? };
    ((1..=MAX_ID_LENGTH).contains(&id.len()) && is_printable(&id)).then_some(id)
}

/// A message's body. A body that is not a string is kept as written.
pub(crate) fn body(json: Option<&str>) -> ReceivedBody {
    let Some(json) = json else {
        return ReceivedBody::Missing;
    };
    match text(json) {
        Some(text) => ReceivedBody::Text(Body::new(text)),
        None => ReceivedBody::NotText(Body::new(json)),
    }
}

/// A count: `None` if it is not a number or is negative, the maximum if it is too large.
pub(crate) fn count(json: Option<&str>) -> Option<u32> {
    let json = json?;
    // Almost all counts are single digits.
    if let [digit @ b'0'..=b'9'] = json.as_bytes() {
        return Some(u32::from(digit - b'0'));
    }
    let number: f64 = json.parse().ok()?;
    // `as` saturates and drops fractions.
    (number >= 0.0).then_some(number as u32)
}

/// A non-negative whole number.
pub(crate) fn number(value: Option<&RawValue>) -> Option<u64> {
    value?.get().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_of_an_id_counts() {
        let digits = "61140000000000000000000000000000001";
        assert_eq!(id(digits).as_deref(), Some(digits));
        assert_eq!(id("\"0061\"").as_deref(), Some("0061"));
    }

    #[test]
    fn a_value_that_a_request_cannot_contain_is_not_an_id() {
        for json in ["\"\"", "-1", "1.5", "1e3", "{}", "[1]", "true", "\"a\\r\\nb\"", "\"\\u0000\""]
        {
            assert_eq!(id(json), None, "{json}");
        }
        assert_eq!(id(&format!("\"{}\"", "x".repeat(MAX_ID_LENGTH + 1))), None);
    }

    #[test]
    fn a_count_is_clamped_or_unknown() {
        for (json, expected) in [
            ("0", Some(0)),
            ("7", Some(7)),
            ("1000000000000000000", Some(u32::MAX)),
            ("1e400", Some(u32::MAX)),
            ("-1", None),
            ("\"3\"", None),
            ("[]", None),
        ] {
            assert_eq!(count(Some(json)), expected, "{json}");
        }
        assert_eq!(count(None), None);
    }

    #[test]
    fn a_body_that_is_not_a_string_is_kept_as_written() {
        for json in ["5", "{\"a\": 1}", "\"\\ud800\"", "true"] {
            assert_eq!(body(Some(json)), ReceivedBody::NotText(Body::new(json)), "{json}");
        }
        assert_eq!(body(Some("\"a\\n\"")), ReceivedBody::Text(Body::new("a\n")));
        assert_eq!(body(None), ReceivedBody::Missing);
    }
}
