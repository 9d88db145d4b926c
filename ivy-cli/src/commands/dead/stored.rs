//! Dead letters in a file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ivy_proto::queue::{Body, ReceivedBody};
use ivy_proto::wire::Codec;
use ivy_proto::wire::crypto::BodyForm;
use ivy_proto::{MessageId, QueueName};
use serde::{Deserialize, Serialize};

/// The version of the lines.
const VERSION: u32 = 1;

/// A dead letter as a line of a file.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct StoredLetter {
    v: u32,
    queue: String,
    /// The message's id in the queue that it was read from. An imported letter gets a new one.
    message: String,
    /// The body as it was in the queue, if it was a text.
    body: Option<String>,
    /// The bytes of another body in base64: empty if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

impl StoredLetter {
    pub(super) fn of(queue: &QueueName, message: &MessageId, body: &ReceivedBody) -> Self {
        let (body, body_base64) = match body {
            ReceivedBody::Text(body) => (Some(body.as_str().to_owned()), None),
            ReceivedBody::NotText(body) => (None, Some(STANDARD.encode(body.as_bytes()))),
            ReceivedBody::Missing => (None, Some(String::new())),
            // A sweep returns none of these.
            ReceivedBody::TooLarge => (None, None),
        };
        let (queue, message) = (queue.as_str().to_owned(), message.as_str().to_owned());
        StoredLetter { v: VERSION, queue, message, body, body_base64 }
    }

    pub(super) fn to_line(&self) -> String {
        // A struct of texts is valid JSON.
        format!("{}\n", serde_json::to_string(self).unwrap_or_default())
    }

    /// The queue of a line, which another one may replace, and the body to post there.
    pub(super) fn read(line: &str, to: Option<&QueueName>) -> Result<(QueueName, Body), BadLetter> {
        let letter: StoredLetter = serde_json::from_str(line).map_err(|_| BadLetter::Malformed)?;
        if letter.v != VERSION {
            return Err(BadLetter::Version(letter.v));
        }
        let queue = match to {
            Some(queue) => queue.clone(),
            None => QueueName::new(&letter.queue).map_err(|_| BadLetter::Malformed)?,
        };
        // Workers would run what is posted to their queues.
        if queue.of_dead_letters().is_none() {
            return Err(BadLetter::NotDeadLetters);
        }
        let body = match (letter.body, letter.body_base64) {
            (Some(body), None) => Body::new(body),
            (None, Some(body)) => {
                Body::from_bytes(STANDARD.decode(body).map_err(|_| BadLetter::Malformed)?)
            }
            (None, None) => return Err(BadLetter::NoBody),
            (Some(_), Some(_)) => return Err(BadLetter::Malformed),
        };
        // Bound to its own queue, it could not be opened in another one.
        if queue.as_str() != letter.queue
            && Codec::form(&body).is_some_and(BodyForm::is_authenticated)
        {
            return Err(BadLetter::Sealed);
        }
        Ok((queue, body))
    }
}

/// A line that cannot be imported. Repeats nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadLetter {
    #[error("it is not a letter as `ivy dead export` writes it")]
    Malformed,
    #[error("it has version {0}, which is not supported here; use a newer ivy")]
    Version(u32),
    #[error("its queue is not a dead-letter queue, whose name ends with `.dead`")]
    NotDeadLetters,
    #[error("it has no body to post: it was exported with --redact")]
    NoBody,
    #[error(
        "it is sealed for its own queue, and no key opens it elsewhere; import it without --queue, and move \
         it with its key: ivy move --keyset FILE"
    )]
    Sealed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_read_as_it_was_written() {
        let (queue, message) = (QueueName::new("mail.dead").unwrap(), MessageId::new("7"));
        let body = Body::new("$ivy2$k1$x\n");
        let stored = StoredLetter::of(&queue, &message, &ReceivedBody::Text(body.clone()));
        let line = stored.to_line();
        assert_eq!(line.lines().count(), 1);
        assert_eq!(StoredLetter::read(&line, None), Ok((queue.clone(), body)));
        assert!(!line.contains("base64"), "{line}");
    }

    #[test]
    fn a_body_that_is_not_a_text_is_kept_byte_by_byte() {
        let (queue, message) = (QueueName::new("mail.dead").unwrap(), MessageId::new("7"));
        let bytes = Body::from_bytes(b"\xff\x00x".to_vec());
        let stored = StoredLetter::of(&queue, &message, &ReceivedBody::NotText(bytes.clone()));
        let line = stored.to_line();
        assert!(line.contains(r#""body":null,"body_base64":"/wB4""#), "{line}");
        let (_, body) = StoredLetter::read(&line, None).unwrap();
        assert_eq!((body.as_bytes(), body.is_text()), (bytes.as_bytes(), false));
        let missing = StoredLetter::of(&queue, &message, &ReceivedBody::Missing);
        let (_, body) = StoredLetter::read(&missing.to_line(), None).unwrap();
        assert_eq!(body.as_str(), "");
    }

    #[test]
    fn other_lines_are_refused() {
        let line = |v: u32, queue: &str| {
            format!(r#"{{"v":{v},"queue":"{queue}","message":"1","body":"x"}}"#)
        };
        assert_eq!(StoredLetter::read(&line(2, "q"), None), Err(BadLetter::Version(2)));
        assert_eq!(StoredLetter::read(&line(1, "q"), None), Err(BadLetter::NotDeadLetters));
        let with = |body: &str| format!(r#"{{"v":1,"queue":"q.dead","message":"1"{body}}}"#);
        let (wrong, both) =
            (with(r#","body_base64":"?""#), with(r#","body":"x","body_base64":"eA==""#));
        for text in ["", "{}", "[]", &line(1, ""), &wrong, &both] {
            assert_eq!(StoredLetter::read(text, None), Err(BadLetter::Malformed), "{text}");
        }
        assert_eq!(StoredLetter::read(&with(""), None), Err(BadLetter::NoBody));
        let [own, other] = ["q.dead", "other.dead"].map(|name| QueueName::new(name).unwrap());
        let sealed = with(r#","body":"$ivy2$k1$AAAA""#);
        assert_eq!(StoredLetter::read(&sealed, Some(&other)), Err(BadLetter::Sealed));
        assert!(StoredLetter::read(&sealed, Some(&own)).is_ok());
    }
}
