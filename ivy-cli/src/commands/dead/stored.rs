//! Dead letters in a file.

use ivy_proto::queue::{Body, ReceivedBody};
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
    /// The body as it was in the queue; `None` if it was not a text, and cannot be posted again.
    body: Option<String>,
}

impl StoredLetter {
    pub(super) fn of(queue: &QueueName, message: &MessageId, body: &ReceivedBody) -> Self {
        let body = match body {
            ReceivedBody::Text(body) => Some(body.as_str().to_owned()),
            _ => None,
        };
        let (queue, message) = (queue.as_str().to_owned(), message.as_str().to_owned());
        StoredLetter { v: VERSION, queue, message, body }
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
        let body = letter.body.ok_or(BadLetter::NoBody)?;
        Ok((queue, Body::new(body)))
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
    #[error("it has no body to post: it was not a text, or was exported with --redact")]
    NoBody,
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
        let missing = StoredLetter::of(&queue, &message, &ReceivedBody::Missing);
        assert_eq!(StoredLetter::read(&missing.to_line(), None), Err(BadLetter::NoBody));
    }

    #[test]
    fn other_lines_are_refused() {
        let line = |v: u32, queue: &str| {
            format!(r#"{{"v":{v},"queue":"{queue}","message":"1","body":"x"}}"#)
        };
        assert_eq!(StoredLetter::read(&line(2, "q"), None), Err(BadLetter::Version(2)));
        assert_eq!(StoredLetter::read(&line(1, "q"), None), Err(BadLetter::NotDeadLetters));
        for text in ["", "{}", "[]", &line(1, "")] {
            assert_eq!(StoredLetter::read(text, None), Err(BadLetter::Malformed), "{text}");
        }
    }
}
