//! How a body is protected.

use crate::queue::{Body, ReceivedBody};
use crate::wire::crypto::{BodyForm, KeyId};
use crate::wire::frame::{FrameKind, split};

/// How a body is protected, as its first characters show it. Nothing is opened or verified: anyone
/// who can post could have written them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protection {
    /// The body is in this form.
    Form {
        /// The form.
        form: BodyForm,
        /// The key that the frame names, if it names one.
        key: Option<KeyId>,
    },
    /// The body is missing, not a text, or a frame that is not supported here.
    Unknown,
}

impl Protection {
    /// The protection of a body.
    #[must_use]
    pub fn of(body: &ReceivedBody) -> Self {
        match body {
            ReceivedBody::Text(body) => Protection::of_body(body),
            ReceivedBody::NotText(_) | ReceivedBody::Missing | ReceivedBody::TooLarge => {
                Protection::Unknown
            }
        }
    }

    /// The form, if it is known.
    #[must_use]
    pub fn form(&self) -> Option<BodyForm> {
        match self {
            Protection::Form { form, .. } => Some(*form),
            Protection::Unknown => None,
        }
    }

    pub(super) fn of_body(body: &Body) -> Self {
        if !body.is_text() {
            return Protection::Unknown;
        }
        let (form, key) = match split(body.as_str()) {
            Ok(FrameKind::Open(_)) => (BodyForm::Plain, None),
            Ok(FrameKind::Legacy(_)) => (BodyForm::Legacy, None),
            Ok(FrameKind::Bridge { suffix, .. }) => {
                (BodyForm::Bridge, suffix.strip_prefix('$').and_then(key_before_dollar))
            }
            Ok(FrameKind::V2(content)) => (BodyForm::V2, key_before_dollar(content)),
            Ok(FrameKind::OtherFormat) | Err(_) => return Protection::Unknown,
        };
        Protection::Form { form, key }
    }
}

fn key_before_dollar(text: &str) -> Option<KeyId> {
    let (key, _) = text.split_once('$')?;
    KeyId::new(key).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_and_the_key_of_a_frame_are_read_without_opening_it() {
        let read = |text: &str| match Protection::of(&ReceivedBody::Text(Body::new(text))) {
            Protection::Form { form, key } => Some((form, key.map(|key| key.as_str().to_owned()))),
            Protection::Unknown => None,
        };
        let key = |text: &str| Some(text.to_owned());
        assert_eq!(read("{}"), Some((BodyForm::Plain, None)));
        assert_eq!(read("$aes-256-cbc$AA=="), Some((BodyForm::Legacy, None)));
        assert_eq!(read("$aes-256-cbc$AA==$h1$k1$x"), Some((BodyForm::Bridge, key("k1"))));
        assert_eq!(read("$ivy2$k2$x"), Some((BodyForm::V2, key("k2"))));
        assert_eq!(read("$ivy2$not a key$x"), Some((BodyForm::V2, None)));
        for unknown in ["$", "$mp1$x", "$rot13$x"] {
            assert_eq!(read(unknown), None, "{unknown}");
        }
        assert_eq!(Protection::of(&ReceivedBody::Missing), Protection::Unknown);
    }
}
