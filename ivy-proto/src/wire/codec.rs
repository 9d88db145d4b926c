//! How the bodies of a queue are written and read.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::queue::{Body, ReceivedBody};
use crate::wire::crypto::ivy2;
use crate::wire::frame::{Form, split};
use crate::wire::legacy::{Ciphertext, leading_spaces, undecryptable};
use crate::wire::{BadBody, DeadLetterReason, Envelope, LegacyKey};

/// The largest body that is read unless [`Codec::with_max_body`] says otherwise, in bytes.
pub const DEFAULT_MAX_BODY: usize = 256 * 1024;

/// How an envelope becomes text, before any encryption.
///
/// JSON is the one that peers of the original know. Another would be a frame with a tag of its
/// own inside the body grammar, since bodies are text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// [`Envelope::to_text`].
    #[default]
    Json,
}

impl Format {
    fn write(self, envelope: &Envelope) -> String {
        match self {
            Format::Json => envelope.to_text(),
        }
    }

    /// Reads an envelope in whatever format it is: the text itself tells.
    fn read(text: &str) -> Result<Envelope, BadBody> {
        Envelope::parse(text)
    }
}

/// How the bodies of a queue are written and read: in the open, or encrypted.
///
/// The codec of a queue accepts one kind of body only. With a key, a body in the open is refused,
/// for else whoever can post could do without the key.
///
/// ```
/// use ivy_proto::wire::{Codec, Envelope, LegacyKey};
///
/// let codec = Codec::legacy(LegacyKey::new("secret")?);
/// let envelope = Envelope::parse(r#"{"name":"mail.send","options":{},"args":["🚀"]}"#)?;
/// let body = codec.seal(&envelope);
/// assert!(body.as_str().starts_with("$aes-256-cbc$"));
/// assert_eq!(codec.open(&body)?, envelope);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Codec {
    format: Format,
    key: Option<Arc<LegacyKey>>,
    max_body: usize,
}

impl Codec {
    /// Bodies in the open.
    #[must_use]
    pub fn plain() -> Self {
        Codec { format: Format::default(), key: None, max_body: DEFAULT_MAX_BODY }
    }

    /// Bodies encrypted as the original does it.
    #[must_use]
    pub fn legacy(key: LegacyKey) -> Self {
        Codec { key: Some(Arc::new(key)), ..Codec::plain() }
    }

    /// The same, reading bodies of at most so many bytes.
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Whether bodies are encrypted.
    #[must_use]
    pub fn encrypts(&self) -> bool {
        self.key.is_some()
    }

    /// Writes an envelope. The size of the result is for the caller to check.
    #[must_use]
    pub fn seal(&self, envelope: &Envelope) -> Body {
        let text = self.format.write(envelope);
        match &self.key {
            None => Body::new(text),
            Some(key) => {
                let text = Zeroizing::new(text);
                let spaces = " ".repeat(leading_spaces(&text));
                Body::new(key.encrypt(&Zeroizing::new(spaces + &text)))
            }
        }
    }

    /// Reads the body of a received message.
    ///
    /// # Errors
    /// As [`Codec::open`]; also if there is no body, or it is not a text.
    pub fn open_received(&self, body: &ReceivedBody) -> Result<Envelope, BadBody> {
        match body {
            ReceivedBody::Text(body) => self.open(body),
            ReceivedBody::NotText(_) => {
                Err(BadBody::new(DeadLetterReason::BadJson, "the body is not a text"))
            }
            ReceivedBody::Missing => Err(empty()),
        }
    }

    /// Reads a body.
    ///
    /// # Errors
    /// If it is not an envelope in the form that this codec accepts.
    pub fn open(&self, body: &Body) -> Result<Envelope, BadBody> {
        let text = body.as_str();
        if text.is_empty() {
            return Err(empty());
        }
        if text.len() > self.max_body {
            let rule = "the body is larger than this worker accepts";
            return Err(BadBody::new(DeadLetterReason::TooLarge, rule));
        }
        match (split(text)?, &self.key) {
            (Form::Open(text), None) => Format::read(text),
            (Form::Open(_), Some(_)) => Err(BadBody::new(
                DeadLetterReason::ExpectedEncrypted,
                "the body is not encrypted, and this queue accepts encrypted ones only",
            )),
            (Form::V2(content), _) => {
                ivy2::Parts::parse(content)?;
                Err(no_key())
            }
            (Form::Legacy(base64) | Form::Bridge { base64, .. }, key) => {
                let ciphertext = Ciphertext::decode(base64)?;
                let key = key.as_ref().ok_or_else(no_key)?;
                read_opened(&key.open(ciphertext)?)
            }
        }
    }
}

/// Reads what was inside a frame.
fn read_opened(text: &str) -> Result<Envelope, BadBody> {
    if text.starts_with('$') {
        let rule = "the body is a frame within a frame; it is opened once only";
        return Err(BadBody::new(DeadLetterReason::BadJson, rule));
    }
    Format::read(text).map_err(|bad| match bad.reason() {
        // A wrong key that happens to give valid padding ends here.
        DeadLetterReason::BadJson => undecryptable(),
        _ => bad,
    })
}

fn empty() -> BadBody {
    BadBody::new(DeadLetterReason::EmptyBody, "the message has no body")
}

fn no_key() -> BadBody {
    BadBody::new(
        DeadLetterReason::NoKey,
        "the body is encrypted, and there is no key; give this worker the sender's encryption key",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legacy() -> Codec {
        Codec::legacy(LegacyKey::new("pass").unwrap())
    }

    fn reason(codec: &Codec, text: &str) -> DeadLetterReason {
        codec.open(&Body::new(text)).unwrap_err().reason()
    }

    fn envelope() -> Envelope {
        Envelope::parse(r#"{"name":"t","options":{},"args":["任务🚀"]}"#).unwrap()
    }

    #[test]
    fn a_sealed_envelope_opens() {
        for codec in [Codec::plain(), legacy()] {
            assert_eq!(codec.open(&codec.seal(&envelope())).unwrap(), envelope());
        }
    }

    #[test]
    fn each_codec_refuses_the_others_bodies() {
        let frame = legacy().seal(&envelope());
        assert_eq!(reason(&Codec::plain(), frame.as_str()), DeadLetterReason::NoKey);
        let open = Codec::plain().seal(&envelope());
        assert_eq!(reason(&legacy(), open.as_str()), DeadLetterReason::ExpectedEncrypted);
    }

    #[test]
    fn a_broken_frame_is_told_without_a_key() {
        for (text, expected) in [
            ("$aes-256-cbc$", DeadLetterReason::BadFrame),
            ("$aes-256-cbc$!!!!", DeadLetterReason::BadBase64),
            ("$rc4$AAAA", DeadLetterReason::UnknownCipher),
            ("$ivy2$k$AAAA", DeadLetterReason::BadFrame),
            ("$ivy3$k$AAAA", DeadLetterReason::UnsupportedVersion),
        ] {
            assert_eq!(reason(&Codec::plain(), text), expected, "{text}");
        }
    }

    #[test]
    fn a_missing_body_and_one_that_is_not_a_text_are_told_apart() {
        let received = |body| Codec::plain().open_received(&body).unwrap_err().reason();
        assert_eq!(received(ReceivedBody::Missing), DeadLetterReason::EmptyBody);
        assert_eq!(received(ReceivedBody::NotText(Body::new("5"))), DeadLetterReason::BadJson);
        assert_eq!(received(ReceivedBody::Text(Body::new(""))), DeadLetterReason::EmptyBody);
    }

    #[test]
    fn a_body_over_the_limit_is_not_looked_into() {
        let body = Codec::plain().seal(&envelope());
        let exact = Codec::plain().with_max_body(body.as_str().len());
        assert!(exact.open(&body).is_ok());
        let small = Codec::plain().with_max_body(body.as_str().len() - 1);
        assert_eq!(reason(&small, body.as_str()), DeadLetterReason::TooLarge);
    }

    #[test]
    fn wrong_padding_text_and_json_inside_a_frame_give_one_error() {
        let key = LegacyKey::new("pass").unwrap();
        let errors = [
            "$aes-256-cbc$xvwD1x+Glz/gIHXGctxHwA==".to_owned(),
            "$aes-256-cbc$wHIztjVa4EDnFks+yQLsbA==".to_owned(),
            key.encrypt("{\"name\""),
            key.encrypt(""),
        ]
        .map(|frame| legacy().open(&Body::new(frame)).unwrap_err());
        for error in &errors {
            assert_eq!(*error, undecryptable());
        }
    }

    #[test]
    fn a_frame_is_opened_once_only() {
        let key = LegacyKey::new("pass").unwrap();
        let twice = key.encrypt(legacy().seal(&envelope()).as_str());
        assert_eq!(reason(&legacy(), &twice), DeadLetterReason::BadJson);
    }
}
