//! Dead letters: messages in a dead-letter queue, with their reason.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::id::MessageId;
use crate::name::{QueueName, TaskName};
use crate::queue::Body;
use crate::text::brief;
use crate::wire::object::Tree;
use crate::wire::scan::measure;
use crate::wire::write::ObjectWriter;
use crate::wire::{BadBody, DeadLetterReason, Envelope, Options, RawJson};

/// The task name of a dead letter's envelope.
const NAME: &str = "ivy.dead-letter";

/// The version that is read and written.
const VERSION: u64 = 1;

/// A message that was moved to the dead-letter queue. Its body there is
/// `{"name":"ivy.dead-letter","options":{},"args":[{"v":1,"queue":..,"id":..,"reason":..,"error":..,"attempts":..,"deliveries":..,"at":..,"body":..}]}`.
/// An original body that is not a text is in `body_base64` instead of `body`.
///
/// Copies of one message have the same queue and id. A dead letter is retained as long as its queue
/// retains messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The physical queue of the original message.
    pub queue: QueueName,
    /// The message's id in that queue.
    pub id: MessageId,
    /// Why it was dead-lettered.
    pub reason: DeadLetterReason,
    /// The error, as reported to the caller. Truncated to 1 KiB when it is written or read.
    pub error: Option<String>,
    /// The number of runs that ended.
    pub attempts: u32,
    /// The number of deliveries of the last attempt: those that were lost because their worker
    /// crashed or their lease ended, and the last one.
    pub deliveries: u32,
    /// When it was dead-lettered, in milliseconds since 1970.
    pub at: u64,
    /// The original body, unchanged; empty if there was none.
    pub body: Body,
}

impl DeadLetter {
    /// The body to post to the dead-letter queue.
    #[must_use]
    pub fn to_body(&self) -> Body {
        let mut letter = ObjectWriter::new();
        letter.number("v", VERSION);
        letter.text("queue", self.queue.as_str());
        letter.text("id", self.id.as_str());
        letter.text("reason", self.reason.as_str());
        if let Some(error) = &self.error {
            letter.text("error", brief(error));
        }
        letter.number("attempts", self.attempts);
        letter.number("deliveries", self.deliveries);
        letter.number("at", self.at);
        if self.body.is_text() {
            letter.text("body", self.body.as_str());
        } else {
            letter.text("body_base64", &STANDARD.encode(self.body.as_bytes()));
        }
        let args = format!("[{}]", letter.finish());
        let envelope = Envelope {
            name: TaskName::new(NAME).expect("a valid task name"),
            options: Options::new(),
            args: RawJson::parse(&args).expect("ObjectWriter writes valid JSON"),
        };
        Body::new(envelope.to_text())
    }

    /// Reads a body of a dead-letter queue.
    ///
    /// # Errors
    /// If it is not a dead letter. It may be an original body: one that was too large to be wrapped
    /// is dead-lettered unchanged.
    pub fn parse(body: &Body) -> Result<DeadLetter, BadDeadLetter> {
        if !body.is_text() {
            return Err(BadBody::not_text().into());
        }
        let envelope = Envelope::parse(body.as_str())?;
        if envelope.name.as_str() != NAME {
            return Err(BadDeadLetter::NotADeadLetter);
        }
        let args = envelope.args.as_str();
        if measure(args).elements != 1 {
            return Err(BadDeadLetter::Field("args"));
        }
        let bad_args = |_| BadDeadLetter::Field("args");
        let tree = Tree::parse(&args[1..args.len() - 1]).map_err(bad_args)?;
        let letter = tree.root().map_err(bad_args)?;
        match letter.read("v") {
            Some(VERSION) => {}
            Some(version) => return Err(BadDeadLetter::UnsupportedVersion(version)),
            None => return Err(BadDeadLetter::Field("v")),
        }
        let text = |key| letter.read::<String>(key).ok_or(BadDeadLetter::Field(key));
        let count = |key| letter.read::<u32>(key).ok_or(BadDeadLetter::Field(key));
        Ok(DeadLetter {
            queue: QueueName::new(&text("queue")?).map_err(|_| BadDeadLetter::Field("queue"))?,
            id: MessageId::new(text("id")?),
            reason: text("reason")?.parse().map_err(|_| BadDeadLetter::Field("reason"))?,
            error: match letter.get("error") {
                None => None,
                Some(_) => Some(brief(&text("error")?).to_owned()),
            },
            attempts: count("attempts")?,
            deliveries: count("deliveries")?,
            at: letter.read("at").ok_or(BadDeadLetter::Field("at"))?,
            body: match (letter.get("body"), letter.get("body_base64")) {
                (_, None) => Body::new(text("body")?),
                (None, Some(_)) => {
                    let bytes = STANDARD.decode(text("body_base64")?);
                    Body::from_bytes(bytes.map_err(|_| BadDeadLetter::Field("body_base64"))?)
                }
                // Which of them is the message is not decided here.
                (Some(_), Some(_)) => return Err(BadDeadLetter::Field("body_base64")),
            },
        })
    }
}

/// Whether a body is already a dead letter, by its task name, and must not be wrapped again.
#[must_use]
pub fn is_dead_letter(body: &Body) -> bool {
    Envelope::parse(body.as_str()).is_ok_and(|envelope| envelope.name.as_str() == NAME)
}

/// A body that is not a dead letter. Describes the problem without repeating the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadDeadLetter {
    /// The body is not an envelope.
    #[error("not a dead letter, and not a task either: {0}")]
    NotAnEnvelope(#[from] BadBody),
    /// The body is the message of a task.
    #[error("not a dead letter, but the message of a task")]
    NotADeadLetter,
    /// The version is not supported.
    #[error("a dead letter of version {0}, which is not supported here; use a newer ivy")]
    UnsupportedVersion(u64),
    /// This field is missing or invalid.
    #[error("a dead letter with a missing or invalid field: {0}")]
    Field(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(body: &str) -> DeadLetter {
        DeadLetter {
            queue: QueueName::new("q.p1").unwrap(),
            id: MessageId::new("6114"),
            reason: DeadLetterReason::BadJson,
            error: None,
            attempts: 0,
            deliveries: 2,
            at: 1_700_000_000_000,
            body: Body::new(body),
        }
    }

    #[test]
    fn a_dead_letter_is_written_as_documented_and_read_back() {
        let text = r#"{"name":"ivy.dead-letter","options":{},"args":[{"v":1,"queue":"q.p1","id":"6114","reason":"BadJson","attempts":0,"deliveries":2,"at":1700000000000,"body":"{\"\u0000é"}]}"#;
        let letter = letter("{\"\0é");
        assert_eq!(letter.to_body().as_str(), text);
        assert_eq!(DeadLetter::parse(&letter.to_body()), Ok(letter));
    }

    #[test]
    fn a_body_that_is_not_a_text_is_written_in_base64() {
        let text = r#"{"name":"ivy.dead-letter","options":{},"args":[{"v":1,"queue":"q.p1","id":"6114","reason":"BadJson","attempts":0,"deliveries":2,"at":1700000000000,"body_base64":"/wB4"}]}"#;
        let letter = DeadLetter { body: Body::from_bytes(b"\xff\0x".to_vec()), ..letter("") };
        assert_eq!(letter.to_body().as_str(), text);
        let read = DeadLetter::parse(&letter.to_body()).unwrap();
        assert_eq!((read.body.as_bytes(), read.body.is_text()), (&b"\xff\0x"[..], false));
    }

    #[test]
    fn a_dead_letter_that_is_not_a_text_is_recognised_and_not_read() {
        let mut bytes = letter("x").to_body().as_bytes().to_vec();
        let at = bytes.iter().rposition(|byte| *byte == b'x').unwrap();
        bytes[at] = 0xff;
        let damaged = Body::from_bytes(bytes);
        assert!(is_dead_letter(&damaged));
        assert!(matches!(DeadLetter::parse(&damaged), Err(BadDeadLetter::NotAnEnvelope(_))));
    }

    #[test]
    fn a_dead_letter_is_recognised_by_its_name() {
        assert!(is_dead_letter(&letter("").to_body()));
        assert!(is_dead_letter(&Body::new(r#"{"name":"ivy.dead-letter","args":[]}"#)));
        for text in ["", "ivy.dead-letter", r#"{"name":"t","options":{},"args":[]}"#] {
            assert!(!is_dead_letter(&Body::new(text)), "{text}");
        }
    }

    #[test]
    fn other_bodies_are_refused() {
        let good = letter("x").to_body();
        let reread = |from: &str, to: &str| {
            DeadLetter::parse(&Body::new(good.as_str().replacen(from, to, 1))).unwrap_err()
        };
        assert!(matches!(reread("{", ""), BadDeadLetter::NotAnEnvelope(_)));
        assert_eq!(reread("ivy.dead", "live"), BadDeadLetter::NotADeadLetter);
        assert_eq!(reread("\"v\":1", "\"v\":2"), BadDeadLetter::UnsupportedVersion(2));
        assert_eq!(reread("[{", "[1,{"), BadDeadLetter::Field("args"));
        assert_eq!(reread("BadJson", "New"), BadDeadLetter::Field("reason"));
        assert_eq!(reread("\"attempts\":0", "\"attempts\":-1"), BadDeadLetter::Field("attempts"));
        assert_eq!(reread(",\"body\":\"x\"", ""), BadDeadLetter::Field("body"));
        assert_eq!(reread("\"at\":", "\"error\":5,\"at\":"), BadDeadLetter::Field("error"));
        for wrong in
            [r#""body_base64":"?""#, r#""body_base64":5"#, r#""body":"x","body_base64":"eA==""#]
        {
            let bad = reread(r#""body":"x""#, wrong);
            assert_eq!(bad, BadDeadLetter::Field("body_base64"), "{wrong}");
        }
    }

    #[test]
    fn the_error_is_truncated_to_a_kibibyte() {
        let reported = |error: &str| {
            let letter = DeadLetter { error: Some(error.to_owned()), ..letter("x") };
            DeadLetter::parse(&letter.to_body()).unwrap().error.unwrap()
        };
        assert_eq!(reported("out of\n\"luck\""), "out of\n\"luck\"");
        assert_eq!(reported(&"x".repeat(5000)), "x".repeat(1024));
    }

    #[test]
    fn an_error_of_another_program_is_truncated_too() {
        let good = letter("x").to_body();
        let long = format!("\"error\":\"{}\",\"at\":", "x".repeat(5000));
        let body = Body::new(good.as_str().replacen("\"at\":", &long, 1));
        assert_eq!(DeadLetter::parse(&body).unwrap().error, Some("x".repeat(1024)));
    }
}
