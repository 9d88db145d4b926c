//! What a message is.

use std::time::Duration;

use crate::id::{MessageId, TaskId};
use crate::name::{Priority, QueueName, TaskName};
use crate::queue::ReceivedBody;
use crate::wire::{BadBody, Content, DeadLetter, DeadLetterReason, Envelope, Options, Protection};

use super::redaction::{Redaction, ShownArgs};
use super::times::Wait;

/// What an operator is shown of a message: nothing that its [`Redaction`] hides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The message's id.
    pub message: MessageId,
    /// The length of its body, in bytes.
    pub bytes: usize,
    /// How its body is protected. That of a dead letter is the one of its envelope.
    pub protection: Protection,
    /// The task, if it can be read.
    pub task: Option<DescribedTask>,
    /// The dead letter, if it is one.
    pub letter: Option<DescribedLetter>,
    /// Why the task cannot be read.
    pub unreadable: Option<Unreadable>,
}

/// The task of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DescribedTask {
    /// Its name.
    pub name: TaskName,
    /// Its arguments.
    pub args: ShownArgs,
    /// Its id, unless a peer of the Node package sent it.
    pub id: Option<TaskId>,
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The number of retries, if the message specifies it. Zero if it must not be retried.
    pub retries: Option<u32>,
    /// The priority.
    pub priority: Priority,
    /// The queue that it was sent to instead of its own.
    pub route: Option<String>,
    /// Whether the caller waits for the result.
    pub has_caller: bool,
    /// When the attempt may start, in milliseconds since 1970.
    pub due: Option<u64>,
    /// The deadline for starting it, in milliseconds since 1970.
    pub deadline: Option<u64>,
    /// When it was called, in milliseconds since 1970.
    pub called: Option<u64>,
    /// The number of lost deliveries that the message records.
    pub lost: u32,
    /// How often the handler postponed it.
    pub later: u32,
    /// How often it was requeued from the dead letters.
    pub requeued: u32,
    /// The caller's trace context.
    pub trace: Option<String>,
}

/// The envelope of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DescribedLetter {
    /// The physical queue of the original message.
    pub queue: QueueName,
    /// The message's id in that queue.
    pub id: MessageId,
    /// Why it was dead-lettered.
    pub reason: DeadLetterReason,
    /// The error, if there is one and it is shown.
    pub error: Option<String>,
    /// The number of runs that ended.
    pub attempts: u32,
    /// The number of deliveries of the last attempt.
    pub deliveries: u32,
    /// When it was dead-lettered, in milliseconds since 1970.
    pub at: u64,
    /// How the original body is protected.
    pub protection: Protection,
}

/// Why a task cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unreadable {
    /// The reason for which a worker with the same keys would dead-letter it.
    pub reason: DeadLetterReason,
    /// What is wrong. Repeats nothing of the body but the task's name and the id of a key.
    pub text: String,
}

impl Description {
    /// Describes a message by its body and the [content](Content::read) of that body.
    #[must_use]
    pub fn of(
        message: MessageId,
        body: &ReceivedBody,
        content: &Content,
        redaction: &Redaction,
    ) -> Self {
        let (letter, task) = match content {
            Content::Task(envelope) => (None, Ok(envelope)),
            Content::DeadLetter { letter, task } => (Some(letter), task.as_ref()),
            Content::Unreadable(bad) => (None, Err(bad)),
        };
        let bytes = match body {
            ReceivedBody::Text(body) | ReceivedBody::NotText(body) => body.as_bytes().len(),
            ReceivedBody::Missing | ReceivedBody::TooLarge => 0,
        };
        Description {
            message,
            bytes,
            protection: Protection::of(body),
            task: task.ok().map(|envelope| DescribedTask::of(envelope, redaction)),
            letter: letter.map(|letter| DescribedLetter::of(letter, redaction)),
            unreadable: task.err().map(Unreadable::of),
        }
    }

    /// How long the task has been due, or how long until then; `None` if the message does not say.
    #[must_use]
    pub fn wait(&self, now: u64) -> Option<Wait> {
        self.task.as_ref()?.due.map(|due| Wait::of(due, now))
    }

    /// How long the task waits already; `None` if the message does not say, or it is not due.
    #[must_use]
    pub fn age(&self, now: u64) -> Option<Duration> {
        self.wait(now).and_then(Wait::since)
    }
}

impl DescribedTask {
    fn of(envelope: &Envelope, redaction: &Redaction) -> Self {
        let Envelope { name, options, args } = envelope;
        let ivy = options.ivy();
        DescribedTask {
            name: name.clone(),
            args: redaction.args(args),
            id: ivy.map(|ivy| ivy.id),
            attempt: ivy.map_or(1, |ivy| ivy.attempt),
            retries: retries(options),
            priority: options.priority().unwrap_or(Priority::NORMAL),
            route: options.route().map(str::to_owned),
            has_caller: ivy.is_some_and(|ivy| ivy.reply.is_some()),
            due: ivy.and_then(|ivy| ivy.due),
            deadline: ivy.and_then(|ivy| ivy.deadline),
            called: ivy.and_then(|ivy| ivy.called),
            lost: ivy.map_or(0, |ivy| ivy.lost),
            later: ivy.map_or(0, |ivy| ivy.later),
            requeued: ivy.map_or(0, |ivy| ivy.requeued),
            trace: ivy.and_then(|ivy| ivy.trace.as_ref()).map(|trace| trace.as_str().to_owned()),
        }
    }
}

fn retries(options: &Options) -> Option<u32> {
    if options.retry() == Some(false) { Some(0) } else { options.max_retries() }
}

impl DescribedLetter {
    fn of(letter: &DeadLetter, redaction: &Redaction) -> Self {
        let error = letter.error.as_deref().and_then(|error| redaction.error(error));
        DescribedLetter {
            queue: letter.queue.clone(),
            id: letter.id.clone(),
            reason: letter.reason,
            error: error.map(str::to_owned),
            attempts: letter.attempts,
            deliveries: letter.deliveries,
            at: letter.at,
            protection: Protection::of(&ReceivedBody::Text(letter.body.clone())),
        }
    }
}

impl Unreadable {
    fn of(bad: &BadBody) -> Self {
        Unreadable { reason: bad.reason(), text: bad.explanation() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Body;
    use crate::wire::Codec;
    use crate::wire::crypto::BodyForm;

    fn describe(queue: &str, text: &str) -> Description {
        let body = ReceivedBody::Text(Body::new(text));
        let content = Content::read(&body, &QueueName::new(queue).unwrap(), &Codec::plain());
        Description::of(MessageId::new("m"), &body, &content, &Redaction::new())
    }

    const TASK: &str = r#"{"name":"mail.send","options":{"maxRetries":3,"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","reply":"c.r.x","attempt":2,"due":1000,"requeued":1}},"args":["secret"]}"#;

    #[test]
    fn a_task_is_described_without_its_arguments() {
        let described = describe("mail", TASK);
        assert_eq!((described.bytes, &described.letter), (TASK.len(), &None));
        let task = described.task.as_ref().unwrap();
        assert_eq!((task.name.as_str(), task.attempt, task.retries), ("mail.send", 2, Some(3)));
        assert_eq!(task.id.unwrap().to_string(), "BwcHBwcHBwcHBwcHBwcHBw");
        assert_eq!((task.has_caller, task.requeued, task.due), (true, 1, Some(1000)));
        assert_eq!(described.age(4200), Some(Duration::from_millis(3200)));
        assert_eq!(described.age(999), None);
        assert!(!format!("{described:?}").contains("secret"));
    }

    #[test]
    fn a_message_of_the_node_package_has_neither_id_nor_wait() {
        let described = describe("mail", r#"{"name":"t","options":{"retry":false},"args":[]}"#);
        let task = described.task.as_ref().unwrap();
        assert_eq!((task.id, task.attempt, task.retries, task.due), (None, 1, Some(0), None));
        assert_eq!(described.wait(5), None);
    }

    #[test]
    fn a_dead_letter_is_described_with_its_task_and_its_error() {
        let letter = DeadLetter {
            queue: QueueName::new("mail").unwrap(),
            id: MessageId::new("7"),
            reason: DeadLetterReason::Fatal,
            error: Some("out of luck".to_owned()),
            attempts: 2,
            deliveries: 1,
            at: 5,
            body: Body::new(TASK),
        };
        let body = letter.to_body();
        let described = describe("mail.dead", body.as_str());
        let shown = described.letter.unwrap();
        assert_eq!((shown.queue.as_str(), shown.id.as_str()), ("mail", "7"));
        assert_eq!(shown.error.as_deref(), Some("out of luck"));
        assert_eq!(described.task.unwrap().name.as_str(), "mail.send");

        let content = Content::read(
            &ReceivedBody::Text(body.clone()),
            &QueueName::new("mail.dead").unwrap(),
            &Codec::plain(),
        );
        let hidden = Description::of(
            MessageId::new("m"),
            &ReceivedBody::Text(body),
            &content,
            &Redaction::new().hide_errors(),
        );
        assert_eq!(hidden.letter.unwrap().error, None);
    }

    #[test]
    fn an_unreadable_body_is_described_by_the_reason() {
        let described = describe("mail", "<html>");
        let unreadable = described.unreadable.unwrap();
        assert_eq!((unreadable.reason, described.task), (DeadLetterReason::BadJson, None));
        assert!(!unreadable.text.contains("html"), "{}", unreadable.text);

        let sealed = describe("mail", "$ivy2$k1$AAAA");
        let expected = Protection::Form { form: BodyForm::V2, key: "k1".parse().ok() };
        assert_eq!(sealed.protection, expected);
        assert!(sealed.unreadable.is_some());
    }
}
