//! Reading and writing message bodies.

use std::sync::Arc;

use crate::name::{ChannelName, QueueName};
use crate::queue::{Body, ReceivedBody};
use crate::wire::crypto::{
    Binding, BodyForm, Encryption, EntropyPool, InvalidEncryption, KeyId, MessageKey, OpenedBody,
    Policy, QueuePolicies,
};
use crate::wire::frame::{is_other_format, unsupported_format};
use crate::wire::legacy::undecryptable;
use crate::wire::{
    BadBody, BadDeadLetter, BadNotice, Caller, DeadLetter, DeadLetterReason, Envelope, LegacyKey,
    MAX_NOTICE, Notice, NoticeSummary,
};

/// The default limit of a body that is read, in bytes. See [`Codec::with_max_body`].
pub const DEFAULT_MAX_BODY: usize = 256 * 1024;

/// The serialization of an envelope, before any encryption.
///
/// Peers of the Node package know only JSON. Another format would be a tagged frame within the body
/// grammar, because bodies are text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// [`Envelope::to_text`].
    #[default]
    Json,
}

impl Format {
    pub(super) fn write(self, envelope: &Envelope) -> String {
        match self {
            Format::Json => envelope.to_text(),
        }
    }

    /// Reads an envelope in any format, which is recognised by the text.
    fn read(text: &str) -> Result<Envelope, BadBody> {
        Envelope::parse(text)
    }
}

/// Reads and writes bodies, notices and dead letters: in plaintext or encrypted, according to the
/// policy of their queue.
///
/// ```
/// use ivy_proto::QueueName;
/// use ivy_proto::wire::crypto::EntropyPool;
/// use ivy_proto::wire::{Codec, Envelope, LegacyKey};
///
/// let codec = Codec::legacy(LegacyKey::new("secret")?);
/// let mail = QueueName::new("mail")?;
/// // In a real program, 32 bytes from the operating system.
/// let mut pool = EntropyPool::from_seed(&[7; 32]);
/// let envelope = Envelope::parse(r#"{"name":"mail.send","options":{},"args":["🚀"]}"#)?;
/// let body = codec.seal(&envelope, &mail, &mut pool);
/// assert!(body.as_str().starts_with("$aes-256-cbc$"));
/// assert_eq!(codec.open(&body, &mail)?, envelope);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Codec {
    pub(super) format: Format,
    pub(super) policies: Arc<QueuePolicies>,
    max_body: usize,
}

/// The content of a body. `Debug` does not show arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opened {
    /// The task's message.
    pub envelope: Envelope,
    /// Identifies this message, if it is authenticated.
    pub message_key: Option<MessageKey>,
}

impl Codec {
    /// A codec of plaintext bodies.
    #[must_use]
    pub fn plain() -> Self {
        Codec::of(QueuePolicies::plain())
    }

    /// A codec of bodies that are encrypted as by the Node package.
    #[must_use]
    pub fn legacy(key: LegacyKey) -> Self {
        Codec::of(QueuePolicies::legacy(key))
    }

    /// A codec with an encryption policy per queue.
    ///
    /// # Errors
    /// If a policy requires keys that are missing.
    pub fn new(encryption: &Encryption) -> Result<Self, InvalidEncryption> {
        QueuePolicies::of(encryption).map(Codec::of)
    }

    fn of(policies: QueuePolicies) -> Self {
        Codec {
            format: Format::default(),
            policies: Arc::new(policies),
            max_body: DEFAULT_MAX_BODY,
        }
    }

    /// Sets the limit of a body that is read, in bytes.
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// The ids of the keys of the active keyset that open frames, the one that seals first. Empty
    /// without a keyset.
    #[must_use]
    pub fn key_ids(&self) -> Vec<KeyId> {
        self.policies.key_ids()
    }

    /// Whether there is a password for frames of the Node package.
    #[must_use]
    pub fn has_password(&self) -> bool {
        self.policies.has_password()
    }

    /// Seals a text with this name as each policy sends it, and opens it as the policy accepts it.
    ///
    /// # Errors
    /// The queue of the first policy for which that fails, if it is not the default policy.
    pub(crate) fn check_keys(
        &self,
        name: &str,
        pool: &mut EntropyPool,
    ) -> Result<(), (Option<QueueName>, BadBody)> {
        self.policies.check(name, pool)
    }

    /// The policy of this physical queue.
    #[must_use]
    pub fn policy(&self, queue: &QueueName) -> Policy {
        self.policies.queue(queue).policy
    }

    /// The form in which bodies for this physical queue are written.
    #[must_use]
    pub fn sends(&self, queue: &QueueName) -> BodyForm {
        self.policy(queue).sends()
    }

    /// Writes an envelope for this physical queue. The caller must check the size of the result.
    #[must_use]
    pub fn seal(&self, envelope: &Envelope, queue: &QueueName, pool: &mut EntropyPool) -> Body {
        let text = self.format.write(envelope);
        Body::new(self.policies.queue(queue).seal(&Binding::task(queue), text, pool))
    }

    /// Reads the body of a message that was received from this physical queue.
    ///
    /// # Errors
    /// Like [`Codec::open`]; also if there is no body, or it is not a text.
    pub fn open_received(&self, body: &ReceivedBody, queue: &QueueName) -> Result<Opened, BadBody> {
        match body {
            ReceivedBody::Text(body) => self.open_with_key(body, queue),
            ReceivedBody::NotText(_) => Err(BadBody::not_text()),
            ReceivedBody::Missing => Err(empty()),
            ReceivedBody::TooLarge => Err(BadBody::new(
                DeadLetterReason::TooLarge,
                "the body is larger than the queue returns",
            )),
        }
    }

    /// Reads a body of this physical queue.
    ///
    /// # Errors
    /// If it is not an envelope, or not in a form that the queue accepts.
    pub fn open(&self, body: &Body, queue: &QueueName) -> Result<Envelope, BadBody> {
        self.open_with_key(body, queue).map(|opened| opened.envelope)
    }

    fn open_with_key(&self, body: &Body, queue: &QueueName) -> Result<Opened, BadBody> {
        let text = self.measured(body)?;
        let policy = self.policy(queue);
        let opened = self.policies.open(policy, &Binding::task(queue), text)?;
        let envelope = read_opened(&opened)?;
        Ok(Opened { envelope, message_key: opened.message_key })
    }

    /// Writes a dead letter for its physical queue. It is sealed if that queue sends authenticated
    /// bodies. Otherwise the envelope is plaintext and contains the body unchanged, and the error
    /// is omitted unless the queue sends plaintext too.
    ///
    /// A dead letter whose body was [not opened](DeadLetterReason::is_unopened) stays plaintext and
    /// has no error, whatever the queue sends: the keys here may differ from those of its sender,
    /// who must be able to read it.
    #[must_use]
    pub fn seal_dead_letter(
        &self,
        letter: &DeadLetter,
        queue: &QueueName,
        pool: &mut EntropyPool,
    ) -> Body {
        let queue_policy = self.policies.queue(queue);
        let form = queue_policy.policy.sends();
        if letter.reason.is_unopened() || form == BodyForm::Legacy {
            return DeadLetter { error: None, ..letter.clone() }.to_body();
        }
        let body = letter.to_body();
        if !form.is_authenticated() {
            return body;
        }
        let text = body.as_str().to_owned();
        Body::new(queue_policy.seal(&Binding::dead_letter(queue), text, pool))
    }

    /// Reads a dead letter from its physical queue, in plaintext or sealed in any form that there
    /// are keys for: it may be older than the queue's policy, or its body may not have been opened.
    /// A plaintext dead letter is not authenticated, including its reason and queue; the message
    /// inside is checked when it is opened, by the policy of its queue.
    ///
    /// # Errors
    /// If it is not a dead letter, or does not open. It may be an original body: one that was too
    /// large to be wrapped is dead-lettered unchanged.
    pub fn open_dead_letter(
        &self,
        body: &Body,
        queue: &QueueName,
    ) -> Result<DeadLetter, BadDeadLetter> {
        if !body.as_str().starts_with('$') {
            return DeadLetter::parse(body);
        }
        let text = self.measured(body)?;
        let opened = self.policies.open_any(&Binding::dead_letter(queue), text)?;
        DeadLetter::parse(&Body::new(opened.text.as_str()))
    }

    /// Writes the notice of a task of this physical queue for a reply channel, in the form of the
    /// queue's bodies. The caller must check the size of the result.
    #[must_use]
    pub fn seal_notice(
        &self,
        notice: &Notice,
        queue: &QueueName,
        channel: &ChannelName,
        pool: &mut EntropyPool,
    ) -> Body {
        let policy = self.policies.queue(queue);
        Body::new(policy.seal(&Binding::notice(channel), notice.to_text(), pool))
    }

    /// Reads a notice from a channel, in any form. Whether the form is acceptable is known only
    /// after the notice has named its task: see [`Codec::accepts_notice`].
    ///
    /// # Errors
    /// If it is not a notice, or does not open.
    pub fn open_notice(
        &self,
        payload: &[u8],
        channel: &ChannelName,
    ) -> Result<(Notice, BodyForm), BadNotice> {
        self.open_published(payload, channel, Notice::parse)
    }

    /// Like [`open_notice`](Codec::open_notice), but reads only how the task ended.
    pub(crate) fn open_notice_summary(
        &self,
        payload: &[u8],
        channel: &ChannelName,
    ) -> Result<(NoticeSummary, BodyForm), BadNotice> {
        self.open_published(payload, channel, NoticeSummary::parse)
    }

    fn open_published<T>(
        &self,
        payload: &[u8],
        channel: &ChannelName,
        parse: impl FnOnce(&[u8]) -> Result<T, BadNotice>,
    ) -> Result<(T, BodyForm), BadNotice> {
        if payload.len() > MAX_NOTICE {
            return Err(BadNotice::TooLarge(payload.len()));
        }
        if !payload.starts_with(b"$") {
            return Ok((parse(payload)?, BodyForm::Plain));
        }
        let text = std::str::from_utf8(payload).map_err(|_| BadNotice::NotUtf8)?;
        let opened = self.policies.open_any(&Binding::notice(channel), text)?;
        Ok((parse(opened.text.as_str().as_bytes())?, opened.form))
    }

    /// Seals a text for this binding, in the form of the bodies of this physical queue.
    pub(crate) fn seal_text(
        &self,
        text: String,
        queue: &QueueName,
        binding: &Binding<'_>,
        pool: &mut EntropyPool,
    ) -> Body {
        Body::new(self.policies.queue(queue).seal(binding, text, pool))
    }

    /// Opens a text that may be sealed, in any form that there are keys for. The caller decides
    /// whether the form is acceptable.
    pub(crate) fn open_text<'a>(
        &self,
        text: &'a str,
        binding: &Binding<'_>,
    ) -> Result<OpenedBody<'a>, BadBody> {
        self.policies.open_any(binding, text)
    }

    /// Whether a notice of a task of this physical queue is accepted in this form: on a reply
    /// channel in any form that the queue accepts; on the Node package's shared channel in
    /// plaintext, provided that peers of the Node package can read what the queue sends.
    #[must_use]
    pub fn accepts_notice(&self, form: BodyForm, queue: &QueueName, shared: bool) -> bool {
        let policy = self.policy(queue);
        if shared {
            form == BodyForm::Plain && policy.sends().is_readable_by_node()
        } else {
            policy.accepts(form)
        }
    }

    fn measured<'a>(&self, body: &'a Body) -> Result<&'a str, BadBody> {
        // Its text differs from its bytes, and could be valid.
        if !body.is_text() {
            return Err(BadBody::not_text());
        }
        let text = body.as_str();
        if text.is_empty() {
            return Err(empty());
        }
        if text.len() > self.max_body {
            let rule = "the body is larger than this worker accepts";
            return Err(BadBody::new(DeadLetterReason::TooLarge, rule));
        }
        Ok(text)
    }
}

/// Reads the content of a body.
fn read_opened(opened: &OpenedBody<'_>) -> Result<Envelope, BadBody> {
    let text = opened.text.as_str();
    if opened.form == BodyForm::V2 && is_other_format(text.as_bytes()) {
        return Err(unsupported_format());
    }
    if opened.form != BodyForm::Plain && text.starts_with('$') {
        let rule = "the body is a frame within a frame, which is not supported";
        return Err(BadBody::new(DeadLetterReason::BadJson, rule));
    }
    Format::read(text).map_err(|bad| match bad.reason() {
        // The wrong key can produce valid padding by chance; then the content is not JSON.
        DeadLetterReason::BadJson if opened.form == BodyForm::Legacy => undecryptable(),
        _ => bad.called_by(Caller::find(text)),
    })
}

fn empty() -> BadBody {
    BadBody::new(DeadLetterReason::EmptyBody, "the message has no body")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::crypto::samples::keyring;
    use crate::wire::crypto::{Entropy, ivy2};

    fn legacy() -> Codec {
        Codec::legacy(LegacyKey::new("pass").unwrap())
    }

    fn queue() -> QueueName {
        QueueName::new("ivy").unwrap()
    }

    fn seal(codec: &Codec, envelope: &Envelope) -> Body {
        codec.seal(envelope, &queue(), &mut EntropyPool::from_seed(&[1; 32]))
    }

    fn reason(codec: &Codec, text: &str) -> DeadLetterReason {
        codec.open(&Body::new(text), &queue()).unwrap_err().reason()
    }

    fn envelope() -> Envelope {
        Envelope::parse(r#"{"name":"t","options":{},"args":["任务🚀"]}"#).unwrap()
    }

    #[test]
    fn a_sealed_envelope_opens() {
        for codec in [Codec::plain(), legacy()] {
            assert_eq!(codec.open(&seal(&codec, &envelope()), &queue()).unwrap(), envelope());
        }
    }

    #[test]
    fn each_codec_refuses_the_others_bodies() {
        let frame = seal(&legacy(), &envelope());
        assert_eq!(reason(&Codec::plain(), frame.as_str()), DeadLetterReason::NoKey);
        let open = seal(&Codec::plain(), &envelope());
        assert_eq!(reason(&legacy(), open.as_str()), DeadLetterReason::ExpectedEncrypted);
    }

    #[test]
    fn a_broken_frame_is_reported_even_without_a_key() {
        for (text, expected) in [
            ("$aes-256-cbc$", DeadLetterReason::BadFrame),
            ("$aes-256-cbc$!!!!", DeadLetterReason::BadBase64),
            ("$rc4$AAAA", DeadLetterReason::UnknownCipher),
            ("$ivy2$k$AAAA", DeadLetterReason::BadFrame),
            ("$ivy3$k$AAAA", DeadLetterReason::UnsupportedVersion),
            ("$mp1$k7V0ZXN0cGFja2FnZS5mYWN0b3JpYWyie32RBQ", DeadLetterReason::UnsupportedFormat),
            ("$pb1$ChV0ZXN0cGFja2FnZS5mYWN0b3JpYWwaAA", DeadLetterReason::UnsupportedFormat),
        ] {
            assert_eq!(reason(&Codec::plain(), text), expected, "{text}");
        }
    }

    #[test]
    fn a_missing_body_and_one_that_is_not_a_text_are_distinguished() {
        let received = |body| Codec::plain().open_received(&body, &queue()).unwrap_err().reason();
        assert_eq!(received(ReceivedBody::Missing), DeadLetterReason::EmptyBody);
        assert_eq!(received(ReceivedBody::NotText(Body::new("5"))), DeadLetterReason::BadJson);
        assert_eq!(received(ReceivedBody::Text(Body::new(""))), DeadLetterReason::EmptyBody);
    }

    #[test]
    fn a_body_that_is_a_task_but_for_an_invalid_byte_is_not_read() {
        let bytes = br#"{"name":"t","options":{},"args":["?"]}"#.map(|byte| match byte {
            b'?' => 0xff,
            byte => byte,
        });
        let body = Body::from_bytes(bytes.to_vec());
        assert!(Envelope::parse(body.as_str()).is_ok());
        let bad = Codec::plain().open(&body, &queue()).unwrap_err();
        assert_eq!(bad.reason(), DeadLetterReason::BadJson);
        assert_eq!(Codec::form(&body), None);
    }

    #[test]
    fn a_body_over_the_limit_is_not_read() {
        let body = seal(&Codec::plain(), &envelope());
        let exact = Codec::plain().with_max_body(body.as_str().len());
        assert!(exact.open(&body, &queue()).is_ok());
        let small = Codec::plain().with_max_body(body.as_str().len() - 1);
        assert_eq!(reason(&small, body.as_str()), DeadLetterReason::TooLarge);
    }

    #[test]
    fn wrong_padding_text_and_json_inside_a_frame_are_the_same_error() {
        let key = LegacyKey::new("pass").unwrap();
        let errors = [
            "$aes-256-cbc$xvwD1x+Glz/gIHXGctxHwA==".to_owned(),
            "$aes-256-cbc$wHIztjVa4EDnFks+yQLsbA==".to_owned(),
            key.encrypt("{\"name\""),
            key.encrypt(""),
        ]
        .map(|frame| legacy().open(&Body::new(frame), &queue()).unwrap_err());
        for error in &errors {
            assert_eq!(*error, undecryptable());
        }
    }

    #[test]
    fn another_format_is_refused_if_the_queue_requires_encryption() {
        assert_eq!(reason(&legacy(), "$mp1$kw"), DeadLetterReason::ExpectedEncrypted);
    }

    #[test]
    fn another_format_inside_a_sealed_frame_is_unsupported() {
        let ring = keyring();
        let encryption = Encryption::new().with_keyring(ring.clone()).with_policy(Policy::v2());
        let codec = Codec::new(&encryption).unwrap();
        let queue = queue();
        let sealed = |text: &str| {
            ivy2::seal(&ring.current(), Entropy::new([7; 16]), &Binding::task(&queue), text)
        };
        assert_eq!(reason(&codec, &sealed("$mp1$kw")), DeadLetterReason::UnsupportedFormat);
        assert_eq!(reason(&codec, &sealed("$ivy2$k1$kw")), DeadLetterReason::BadJson);
    }

    #[test]
    fn a_nested_frame_is_not_opened() {
        let key = LegacyKey::new("pass").unwrap();
        let twice = key.encrypt(seal(&legacy(), &envelope()).as_str());
        assert_eq!(reason(&legacy(), &twice), DeadLetterReason::BadJson);
    }
}
