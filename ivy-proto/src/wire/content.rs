//! The content of a message, for queue inspection.

use crate::name::QueueName;
use crate::queue::ReceivedBody;
use crate::wire::{BadBody, Codec, DeadLetter, DeadLetterReason, Envelope, is_dead_letter};

/// The content of a message, for queue inspection. `Debug` does not show arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// A task that waits to run.
    Task(Envelope),
    /// A dead letter, and its task if that can be read.
    DeadLetter {
        /// The dead letter.
        letter: DeadLetter,
        /// The task.
        task: Result<Envelope, BadBody>,
    },
    /// A body that cannot be read here.
    Unreadable(BadBody),
}

impl Content {
    /// Reads a body from this physical queue, which may be a dead-letter queue.
    #[must_use]
    pub fn read(body: &ReceivedBody, queue: &QueueName, codec: &Codec) -> Self {
        if let ReceivedBody::Text(text) = body
            && let Ok(letter) = codec.open_dead_letter(text, queue)
        {
            let task = codec.open(&letter.body, &letter.queue);
            return Content::DeadLetter { letter, task };
        }
        if let ReceivedBody::Text(text) = body
            && is_dead_letter(text)
        {
            let what =
                "it is named as a dead letter, and its content is invalid or of another version";
            return Content::Unreadable(BadBody::new(DeadLetterReason::BadArgs, what));
        }
        // A body that was dead-lettered without an envelope is still bound to its original queue.
        let live = queue.of_dead_letters();
        let origin = live.as_ref().unwrap_or(queue);
        match codec.open_received(body, origin) {
            Ok(opened) => Content::Task(opened.envelope),
            Err(bad) => Content::Unreadable(bad),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;
    use crate::queue::Body;
    use crate::wire::LegacyKey;
    use crate::wire::crypto::samples::both;
    use crate::wire::crypto::{EntropyPool, Policy};

    fn read(text: &str) -> Content {
        Content::read(&ReceivedBody::Text(Body::new(text)), &dead(), &Codec::plain())
    }

    fn dead() -> QueueName {
        QueueName::new("mail.dead").unwrap()
    }

    fn letter(body: Body) -> DeadLetter {
        DeadLetter {
            queue: QueueName::new("mail").unwrap(),
            id: MessageId::new("1"),
            reason: DeadLetterReason::Fatal,
            error: None,
            attempts: 1,
            deliveries: 1,
            at: 0,
            body,
        }
    }

    #[test]
    fn tasks_dead_letters_and_other_messages_are_distinguished() {
        let task = r#"{"name":"mail.send","options":{},"args":["secret"]}"#;
        assert!(matches!(read(task), Content::Task(_)));
        let dead_letter = letter(Body::new(task)).to_body();
        let Content::DeadLetter { task: Ok(inner), .. } = read(dead_letter.as_str()) else {
            panic!("not a dead letter");
        };
        assert_eq!(inner, Envelope::parse(task).unwrap());
        assert!(matches!(read("<html>"), Content::Unreadable(_)));
        // It is no task of that name.
        let invalid = dead_letter.as_str().replacen("\"queue\":\"mail\"", "\"queue\":\"\"", 1);
        let Content::Unreadable(bad) = read(&invalid) else {
            panic!("a dead letter without a queue")
        };
        assert_eq!(bad.reason(), DeadLetterReason::BadArgs);
    }

    #[test]
    fn the_task_in_a_dead_letter_is_opened_with_the_key() {
        let codec = Codec::legacy(LegacyKey::new("pass").unwrap());
        let envelope = Envelope::parse(r#"{"name":"t","options":{},"args":[]}"#).unwrap();
        let body = ReceivedBody::Text(
            letter(codec.seal(&envelope, &dead(), &mut EntropyPool::from_seed(&[1; 32]))).to_body(),
        );
        let Content::DeadLetter { task, .. } = Content::read(&body, &dead(), &codec) else {
            panic!()
        };
        assert_eq!(task, Ok(envelope));
        let Content::DeadLetter { task, .. } = Content::read(&body, &dead(), &Codec::plain())
        else {
            panic!()
        };
        assert_eq!(task.unwrap_err().reason(), DeadLetterReason::NoKey);
    }

    #[test]
    fn a_sealed_dead_letter_opens_after_the_policy_has_changed() {
        let codec = |policy| Codec::new(&both().with_policy(policy)).unwrap();
        let mut pool = EntropyPool::from_seed(&[1; 32]);
        let letter = letter(Body::new("x"));
        let sealed = codec(Policy::bridge()).seal_dead_letter(&letter, &dead(), &mut pool);
        assert!(sealed.as_str().starts_with("$aes-256-cbc$"));
        let read = Content::read(&ReceivedBody::Text(sealed), &dead(), &codec(Policy::v2()));
        assert!(matches!(read, Content::DeadLetter { letter: opened, .. } if opened == letter));
    }

    #[test]
    fn a_plaintext_dead_letter_is_read_on_a_sealing_queue_and_its_task_by_the_policy() {
        let codec = Codec::new(&both().with_policy(Policy::v2())).unwrap();
        let plain = Body::new(r#"{"name":"t","options":{},"args":[]}"#);
        let mut letter = letter(plain);
        letter.reason = DeadLetterReason::Downgrade;
        let body = codec.seal_dead_letter(&letter, &dead(), &mut EntropyPool::from_seed(&[1; 32]));
        assert!(body.as_str().starts_with('{'));
        let read = Content::read(&ReceivedBody::Text(body), &dead(), &codec);
        let Content::DeadLetter { letter: opened, task } = read else { panic!("{read:?}") };
        assert_eq!(opened, letter);
        assert_eq!(task.unwrap_err().reason(), DeadLetterReason::Downgrade);
    }

    #[test]
    fn debug_shows_no_arguments() {
        let task = read(r#"{"name":"mail.send","options":{},"args":["secret"]}"#);
        assert!(!format!("{task:?}").contains("secret"));
    }
}
