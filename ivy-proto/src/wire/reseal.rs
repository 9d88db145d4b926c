//! Sealing changed content in the form that its body had.
//!
//! An operator who requeues or moves a message must not change who can read it: peers of the
//! Node package read no v2 frame, and a queue that requires authenticated bodies refuses others.

use crate::name::QueueName;
use crate::queue::Body;
use crate::wire::crypto::{Binding, BodyForm, EntropyPool};
use crate::wire::{Codec, DeadLetter, Envelope, Protection};

impl Codec {
    /// The form of a body, as its first characters show it; nothing is opened or verified. `None`
    /// if it is in no form that is supported here.
    #[must_use]
    pub fn form(body: &Body) -> Option<BodyForm> {
        Protection::of_body(body).form()
    }

    /// Writes an envelope for this physical queue in this form, whatever the queue sends. `None` if
    /// a key for it is missing. The caller must check the size of the result, and whether the queue
    /// accepts the form.
    #[must_use]
    pub fn seal_as(
        &self,
        form: BodyForm,
        envelope: &Envelope,
        queue: &QueueName,
        pool: &mut EntropyPool,
    ) -> Option<Body> {
        let text = self.format.write(envelope);
        self.policies.seal_as(form, &Binding::task(queue), text, pool).map(Body::new)
    }

    /// Writes a dead letter for another dead-letter queue in this form. `None` if a key for it is
    /// missing.
    pub(crate) fn seal_dead_letter_as(
        &self,
        form: BodyForm,
        letter: &DeadLetter,
        queue: &QueueName,
        pool: &mut EntropyPool,
    ) -> Option<Body> {
        let text = letter.to_body().as_str().to_owned();
        self.policies.seal_as(form, &Binding::dead_letter(queue), text, pool).map(Body::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::LegacyKey;
    use crate::wire::crypto::Policy;
    use crate::wire::crypto::samples::both;

    const FORMS: [BodyForm; 4] =
        [BodyForm::Plain, BodyForm::Legacy, BodyForm::Bridge, BodyForm::V2];

    fn mail() -> QueueName {
        QueueName::new("mail").unwrap()
    }

    fn envelope() -> Envelope {
        Envelope::parse(r#"{"name":"t","options":{},"args":["任"]}"#).unwrap()
    }

    #[test]
    fn a_body_is_sealed_in_any_form_and_opened_where_the_form_is_accepted() {
        let mut pool = EntropyPool::from_seed(&[1; 32]);
        for form in FORMS {
            let policy = Policy::new(form, [form]).unwrap();
            let accepting = Codec::new(&both().with_policy(policy)).unwrap();
            // The policy of the codec that seals sends another form.
            let codec = Codec::new(&both().with_policy(Policy::v2())).unwrap();
            let body = codec.seal_as(form, &envelope(), &mail(), &mut pool).unwrap();
            assert_eq!(Codec::form(&body), Some(form));
            assert_eq!(accepting.open(&body, &mail()).unwrap(), envelope());
        }
    }

    #[test]
    fn a_form_whose_key_is_missing_is_not_sealed() {
        let mut pool = EntropyPool::from_seed(&[1; 32]);
        let mut sealed_by = |codec: &Codec| {
            FORMS.map(|form| codec.seal_as(form, &envelope(), &mail(), &mut pool).is_some())
        };
        assert_eq!(sealed_by(&Codec::plain()), [true, false, false, false]);
        let legacy = Codec::legacy(LegacyKey::new("pass").unwrap());
        assert_eq!(sealed_by(&legacy), [true, true, false, false]);
    }

    #[test]
    fn a_body_in_an_unknown_form_has_none() {
        for text in ["$mp1$kw", "$rc4$AA", "$"] {
            assert_eq!(Codec::form(&Body::new(text)), None, "{text}");
        }
    }
}
