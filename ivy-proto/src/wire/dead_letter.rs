//! Dead letters: messages that were put aside, with the reason.

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

/// The version that is read and written here.
const VERSION: u64 = 1;

/// A message that was put aside. In the dead-letter queue it is
/// `{"name":"ivy.dead-letter","options":{},"args":[{"v":1,"queue":..,"id":..,"reason":..,"error":..,"attempts":..,"deliveries":..,"at":..,"body":..}]}`.
///
/// Queue and id together tell copies of one message. It stays as long as the dead-letter queue keeps
/// messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The physical queue that the message was in.
    pub queue: QueueName,
    /// The message's id there.
    pub id: MessageId,
    /// Why it was put aside.
    pub reason: DeadLetterReason,
    /// What went wrong, in the words that its caller is told. It is cut to 1 KiB when it is written or
    /// read.
    pub error: Option<String>,
    /// How often its handler was run to an end.
    pub attempts: u32,
    /// How often its last attempt was delivered: the deliveries that were lost, since their worker
    /// crashed or their lease ended, and the last one.
    pub deliveries: u32,
    /// When it was put aside, in milliseconds since 1970.
    pub at: u64,
    /// Its body, unchanged; empty if it had none.
    pub body: Body,
}

impl DeadLetter {
    /// The body that goes into the dead-letter queue.
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
        letter.text("body", self.body.as_str());
        let args = format!("[{}]", letter.finish());
        let envelope = Envelope {
            name: TaskName::new(NAME).expect("it has 1 to 255 printable bytes"),
            options: Options::new(),
            args: RawJson::parse(&args).expect("what an ObjectWriter wrote is JSON"),
        };
        Body::new(envelope.to_text())
    }

    /// Reads a body of a dead-letter queue.
    ///
    /// # Errors
    /// If it is not a dead letter. It may be an original body: one that was too large to be
    /// wrapped is put aside alone.
    pub fn parse(body: &Body) -> Result<DeadLetter, BadDeadLetter> {
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
            body: Body::new(text("body")?),
        })
    }
}

/// Whether a body is a dead letter already, and so must not be wrapped into another. Its task name
/// decides.
#[must_use]
pub fn is_dead_letter(body: &Body) -> bool {
    Envelope::parse(body.as_str()).is_ok_and(|envelope| envelope.name.as_str() == NAME)
}

/// A body that is not a dead letter. It tells what is wrong, and never repeats the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadDeadLetter {
    /// It is not an envelope.
    #[error("not a dead letter, and not a task either: {0}")]
    NotAnEnvelope(#[from] BadBody),
    /// It is the envelope of some task.
    #[error("not a dead letter, but the message of a task")]
    NotADeadLetter,
    /// It is a dead letter of a version that is not known here.
    #[error("a dead letter of version {0}, which is not known here; use a newer ivy")]
    UnsupportedVersion(u64),
    /// This field is missing, or is not as it must be.
    #[error("a dead letter whose field is missing or wrong: {0}")]
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
    fn a_dead_letter_is_recognised_by_its_name() {
        assert!(is_dead_letter(&letter("").to_body()));
        assert!(is_dead_letter(&Body::new(r#"{"name":"ivy.dead-letter","args":[]}"#)));
        for text in ["", "ivy.dead-letter", r#"{"name":"t","options":{},"args":[]}"#] {
            assert!(!is_dead_letter(&Body::new(text)), "{text}");
        }
    }

    #[test]
    fn what_is_no_dead_letter_is_refused() {
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
    }

    #[test]
    fn the_error_is_kept_up_to_a_kibibyte() {
        let told = |error: &str| {
            let letter = DeadLetter { error: Some(error.to_owned()), ..letter("x") };
            DeadLetter::parse(&letter.to_body()).unwrap().error.unwrap()
        };
        assert_eq!(told("out of\n\"luck\""), "out of\n\"luck\"");
        assert_eq!(told(&"x".repeat(5000)), "x".repeat(1024));
    }

    #[test]
    fn an_error_that_somebody_else_wrote_is_cut_too() {
        let good = letter("x").to_body();
        let long = format!("\"error\":\"{}\",\"at\":", "x".repeat(5000));
        let body = Body::new(good.as_str().replacen("\"at\":", &long, 1));
        assert_eq!(DeadLetter::parse(&body).unwrap().error, Some("x".repeat(1024)));
    }
}
