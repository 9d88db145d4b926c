//! JSON in its original form.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Error, Serialize, Serializer};
use serde_json::value::RawValue;

use super::bounded::{self, Failure};
use super::finite;
use super::object::Value;
use super::shape::{MAX_DEPTH, OPEN_IN_LIST, OPEN_IN_VALUE};

/// Why a value cannot be written as JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritable {
    /// It is nested more deeply than [`MAX_DEPTH`], and could not be read again.
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// JSON cannot represent it.
    #[error("{0}")]
    NotJson(#[source] serde_json::Error),
}

/// The text of one JSON value. Numbers keep their digits and strings their escapes until the
/// handler's own type reads them. Cheap to clone; `Debug` shows only the length.
#[derive(Clone)]
pub struct RawJson(Arc<str>);

impl RawJson {
    /// Checks that the text is one JSON value.
    ///
    /// # Errors
    /// If the text is not one JSON value.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(RawJson::from)
    }

    /// Serializes a Rust value.
    ///
    /// # Errors
    /// If JSON cannot represent the value, such as a map whose keys are not strings, or a float
    /// that is NaN or infinite; or if it is nested more deeply than [`MAX_DEPTH`].
    pub fn from_value<T: Serialize + ?Sized>(value: &T) -> Result<Self, Unwritable> {
        Self::bounded(value, OPEN_IN_VALUE)
    }

    /// Serializes a list of values, each of which may be nested as deeply as [`MAX_DEPTH`].
    pub(crate) fn from_list<T: Serialize + ?Sized>(list: &T) -> Result<Self, Unwritable> {
        Self::bounded(list, OPEN_IN_LIST)
    }

    fn bounded<T: Serialize + ?Sized>(value: &T, max_depth: usize) -> Result<Self, Unwritable> {
        let text = bounded::to_string(value, max_depth).map_err(|failure| match failure {
            Failure::TooDeep => Unwritable::TooDeep,
            Failure::Other(error) => Unwritable::NotJson(error),
        })?;
        // NaN and infinities are written as `null`, so most values need no second check.
        if text.contains("null") {
            finite::check(value).map_err(Unwritable::NotJson)?;
        }
        Ok(RawJson::written(text))
    }

    /// The value `null`.
    pub(crate) fn null() -> Self {
        RawJson::written("null")
    }

    /// Wraps a text that was just serialized.
    pub(crate) fn written(text: impl Into<Arc<str>>) -> Self {
        let json = RawJson(text.into());
        debug_assert!(RawJson::parse(json.as_str()).is_ok_and(|parsed| parsed == json));
        json
    }

    /// The value's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&RawValue> for RawJson {
    fn from(raw: &RawValue) -> Self {
        RawJson(raw.get().into())
    }
}

impl From<Value<'_>> for RawJson {
    fn from(value: Value<'_>) -> Self {
        RawJson(value.text().into())
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RawJson {}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.as_str().len())
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for RawJson {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| RawJson::from(&*raw))
    }
}
