//! Messages as commands show them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ivy_proto::QueueName;
use ivy_proto::admin::{Peeked, Row};
use ivy_proto::inspect::{
    DescribedLetter, DescribedTask, Description, Redaction, ShownText, Timestamp, Unreadable,
};
use ivy_proto::queue::{Body, ReceivedBody};
use ivy_proto::wire::crypto::BodyForm;
use ivy_proto::wire::{Protection, RawJson};
use serde::Serialize;

use super::time::seconds;
use crate::output::{Column, Page};

/// A message that was looked at.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) queue: QueueName,
    pub(super) description: Description,
    reserved_count: Option<u32>,
    /// How many messages of its queue are copies of it, including itself, as far as they were
    /// compared.
    pub(super) copies: usize,
    /// The body as it is in the queue, if it is shown.
    body: Option<ShownBody>,
    /// When it was looked at, in milliseconds since 1970.
    now: u64,
}

/// A body as it is in the queue.
#[derive(Debug)]
enum ShownBody {
    Text(String),
    /// In base64, because it is not a text.
    Bytes(String),
}

impl ShownBody {
    fn of(body: &Body) -> Self {
        match body.is_text() {
            true => ShownBody::Text(body.as_str().to_owned()),
            false => ShownBody::Bytes(STANDARD.encode(body.as_bytes())),
        }
    }
}

/// How messages are shown.
#[derive(Debug)]
pub(super) struct Showing {
    pub(super) redaction: Redaction,
    /// Whether the bodies are shown as they are in the queue.
    pub(super) raw: bool,
}

impl Message {
    pub(super) fn of(queue: &QueueName, peeked: Peeked, showing: &Showing, now: u64) -> Self {
        let Peeked { message, reserved_count, body, content, .. } = peeked;
        let description = Description::of(message, &body, &content, &showing.redaction);
        Message::described(queue, description, reserved_count, body, showing, now)
    }

    /// A message that a sweep found.
    pub(super) fn found(queue: &QueueName, row: Row, showing: &Showing, now: u64) -> Self {
        let Row { message, deliveries, body, content, copies, .. } = row;
        let description = Description::of(message, &body, &content, &showing.redaction);
        let reserved_count = deliveries.upper_bound();
        let message = Message::described(queue, description, reserved_count, body, showing, now);
        Message { copies, ..message }
    }

    fn described(
        queue: &QueueName,
        description: Description,
        reserved_count: Option<u32>,
        body: ReceivedBody,
        showing: &Showing,
        now: u64,
    ) -> Self {
        let body = match body {
            ReceivedBody::Text(body) | ReceivedBody::NotText(body) if showing.raw => {
                Some(ShownBody::of(&body))
            }
            _ => None,
        };
        Message { queue: queue.clone(), description, reserved_count, copies: 1, body, now }
    }

    fn task(&self) -> Option<&DescribedTask> {
        self.description.task.as_ref()
    }
}

/// The columns of a table of messages.
pub(super) const COLUMNS: [Column; 9] = [
    Column::left("MESSAGE"),
    Column::left("TASK"),
    Column::right("ATTEMPT"),
    Column::left("DUE"),
    Column::right("SIZE"),
    Column::left("FORM"),
    Column::right("RESERVED"),
    Column::left("REASON"),
    Column::left("CONTENT"),
];

/// The columns of a table of dead letters: when a letter was dead-lettered, instead of when it is due.
pub(super) fn columns_of_letters() -> [Column; COLUMNS.len()] {
    let mut columns = COLUMNS;
    columns[DUE] = Column::left("DEAD SINCE");
    columns
}

/// The place of the column that tables of dead letters replace.
const DUE: usize = 3;

impl Message {
    /// The row of a table of dead letters.
    pub(super) fn letter_cells(&self) -> Vec<Option<String>> {
        let mut cells = self.cells();
        let letter = self.description.letter.as_ref();
        cells[DUE] = letter.map(|letter| Timestamp(letter.at).to_string());
        cells
    }

    /// The key that opens the task, if it cannot be read without it.
    pub(super) fn missing_key(&self) -> Option<&str> {
        let Description { protection, letter, unreadable, .. } = &self.description;
        unreadable.as_ref()?;
        let protection = letter.as_ref().map_or(protection, |letter| &letter.protection);
        form_and_key(protection).1
    }

    /// The row of a table.
    pub(super) fn cells(&self) -> Vec<Option<String>> {
        let Description { message, bytes, protection, letter, unreadable, .. } = &self.description;
        let task = self.task();
        let content = match (&self.body, task, unreadable) {
            (Some(ShownBody::Text(body)), ..) => Some(body.clone()),
            (Some(ShownBody::Bytes(base64)), ..) => {
                Some(format!("not a text, in base64: {base64}"))
            }
            (None, Some(task), _) => Some(task.args.to_string()),
            (None, None, Some(unreadable)) => Some(summary(unreadable, protection)),
            (None, None, None) => None,
        };
        let error = letter.as_ref().and_then(|letter| letter.error.as_ref());
        let content = match (content, error) {
            (Some(content), Some(error)) => Some(format!("{error} ({content})")),
            (content, error) => content.or(error.cloned()),
        };
        vec![
            Some(message.as_str().to_owned()),
            task.map(|task| task.name.as_str().to_owned()),
            task.map(|task| task.attempt.to_string()),
            self.description.wait(self.now).map(|wait| wait.to_string()),
            Some(bytes.to_string()),
            Some(form(protection)),
            self.reserved_count.map(|count| count.to_string()),
            letter.as_ref().map(|letter| letter.reason.to_string()),
            content,
        ]
    }

    /// A dead letter in one line.
    pub(super) fn line(&self) -> String {
        let Description { message, letter, .. } = &self.description;
        let task = self.task().map_or("unknown", |task| task.name.as_str());
        let mut line = format!("{} {message}: task {task}", self.queue);
        if let Some(letter) = letter {
            line += &format!(", {}", letter.reason);
            if let Some(error) = &letter.error {
                line += &format!(": {error}");
            }
        }
        line
    }

    /// All that is known of the message.
    pub(super) fn page(&self, page: &mut Page) {
        let Description { message, bytes, protection, letter, unreadable, .. } = &self.description;
        let mut fields = vec![
            ("queue", self.queue.as_str().to_owned()),
            ("message", message.as_str().to_owned()),
            ("size", format!("{bytes} bytes")),
            ("form", form(protection)),
        ];
        if let Some(count) = self.reserved_count {
            fields.push(("reserved", format!("{count} times")));
        }
        if let Some(letter) = letter {
            fields.extend(letter_fields(letter, protection));
        }
        if let Some(task) = self.task() {
            fields.extend(self.task_fields(task));
        }
        if let Some(unreadable) = unreadable {
            fields.push(("unreadable", format!("{}: {}", unreadable.reason, unreadable.text)));
        }
        match &self.body {
            Some(ShownBody::Text(body)) => fields.push(("body", body.clone())),
            Some(ShownBody::Bytes(base64)) => fields.push(("body in base64", base64.clone())),
            None => {}
        }
        page.fields(&fields);
    }

    fn task_fields(&self, task: &DescribedTask) -> Vec<(&'static str, String)> {
        let attempt = match task.retries {
            Some(retries) => format!("{} of {}", task.attempt, retries.saturating_add(1)),
            None => task.attempt.to_string(),
        };
        let mut fields = vec![
            ("task", task.name.as_str().to_owned()),
            ("task id", task.id.map_or_else(|| "none".to_owned(), |id| id.to_string())),
            ("attempt", attempt),
        ];
        let mut optional = |name, value: Option<String>| {
            fields.extend(value.map(|value| (name, value)));
        };
        let due = self.description.wait(self.now).zip(task.due);
        optional("due", due.map(|(wait, due)| format!("{} ({wait})", Timestamp(due))));
        optional("deadline", task.deadline.map(|at| Timestamp(at).to_string()));
        optional("called", task.called.map(|at| Timestamp(at).to_string()));
        let counted = |count: u32| (count > 0).then(|| count.to_string());
        optional("priority", counted(task.priority.number().into()));
        optional("route", task.route.clone());
        optional("lost", counted(task.lost));
        optional("postponed", counted(task.later));
        optional("requeued", counted(task.requeued));
        optional("trace", task.trace.clone());
        let is_dead = self.description.letter.is_some();
        let caller = if is_dead { "was to get the result" } else { "waits for the result" };
        optional("caller", task.has_caller.then(|| caller.to_owned()));
        fields.push(("arguments", task.args.to_string()));
        fields
    }
}

fn letter_fields(letter: &DescribedLetter, envelope: &Protection) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("reason", letter.reason.to_string()),
        ("of queue", letter.queue.as_str().to_owned()),
        ("of message", letter.id.as_str().to_owned()),
        ("dead since", Timestamp(letter.at).to_string()),
        ("attempts", letter.attempts.to_string()),
        ("deliveries", letter.deliveries.to_string()),
        ("task form", form(&letter.protection)),
    ];
    if !is_authentic(envelope) && letter.protection.form().is_some_and(BodyForm::is_authenticated) {
        let text = "the envelope is not sealed, unlike the task: whoever can post to this queue can have \
                    written the reason and the counts";
        fields.push(("not authentic", text.to_owned()));
    }
    fields.extend(letter.error.clone().map(|error| ("error", error)));
    fields
}

/// Whether an envelope that was opened cannot be altered or moved undetected.
fn is_authentic(envelope: &Protection) -> bool {
    envelope.form().is_some_and(BodyForm::is_authenticated)
}

/// The form of a body, with the key that it names.
fn form(protection: &Protection) -> String {
    match protection {
        Protection::Form { form, key: Some(key) } => format!("{form} {key}"),
        Protection::Form { form, key: None } => form.to_string(),
        _ => "unknown".to_owned(),
    }
}

/// A body that is not readable, in a few words.
fn summary(unreadable: &Unreadable, protection: &Protection) -> String {
    use ivy_proto::wire::DeadLetterReason::{NoKey, UnknownKey};
    match (unreadable.reason, protection) {
        (NoKey | UnknownKey, Protection::Form { key: Some(key), .. }) => {
            format!("encrypted with {key}")
        }
        (NoKey, _) => "encrypted".to_owned(),
        (reason, _) => format!("unreadable: {reason}"),
    }
}

/// A message in JSON.
#[derive(Debug, Serialize)]
pub(super) struct MessageRecord<'a> {
    queue: &'a str,
    message: &'a str,
    size: usize,
    form: Option<&'static str>,
    key: Option<&'a str>,
    reserved_count: Option<u32>,
    task: Option<TaskRecord<'a>>,
    unreadable: Option<UnreadableRecord<'a>>,
    dead_letter: Option<LetterRecord<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct TaskRecord<'a> {
    name: &'a str,
    id: Option<String>,
    attempt: u32,
    max_attempts: Option<u32>,
    priority: u8,
    route: Option<&'a str>,
    has_caller: bool,
    due: Option<u64>,
    wait: Option<f64>,
    deadline: Option<u64>,
    called: Option<u64>,
    lost: u32,
    postponed: u32,
    requeued: u32,
    trace: Option<&'a str>,
    args_count: usize,
    args_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args_beginning: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct UnreadableRecord<'a> {
    reason: &'static str,
    text: &'a str,
}

#[derive(Debug, Serialize)]
struct LetterRecord<'a> {
    queue: &'a str,
    message: &'a str,
    reason: &'static str,
    error: Option<&'a str>,
    attempts: u32,
    deliveries: u32,
    at: u64,
    /// Whether the envelope is sealed, so that only a holder of the key can have written it.
    is_authentic: bool,
    /// The form and the key of the task.
    form: Option<&'static str>,
    key: Option<&'a str>,
}

impl Message {
    pub(super) fn record(&self) -> MessageRecord<'_> {
        let Description { message, bytes, protection, letter, unreadable, .. } = &self.description;
        let (form, key) = form_and_key(protection);
        let (body, body_base64) = match &self.body {
            Some(ShownBody::Text(body)) => (Some(body.as_str()), None),
            Some(ShownBody::Bytes(base64)) => (None, Some(base64.as_str())),
            None => (None, None),
        };
        MessageRecord {
            queue: self.queue.as_str(),
            message: message.as_str(),
            size: *bytes,
            form,
            key,
            reserved_count: self.reserved_count,
            task: self.task().map(|task| self.task_record(task)),
            unreadable: unreadable.as_ref().map(|unreadable| UnreadableRecord {
                reason: unreadable.reason.as_str(),
                text: &unreadable.text,
            }),
            dead_letter: letter.as_ref().map(|letter| letter_record(letter, protection)),
            body,
            body_base64,
        }
    }

    fn task_record<'a>(&self, task: &'a DescribedTask) -> TaskRecord<'a> {
        let (args, args_beginning) = match &task.args.text {
            Some(ShownText::Whole(args)) => (Some(args), None),
            Some(ShownText::Beginning(text)) => (None, Some(text.as_str())),
            _ => (None, None),
        };
        TaskRecord {
            name: task.name.as_str(),
            id: task.id.map(|id| id.to_string()),
            attempt: task.attempt,
            max_attempts: task.retries.map(|retries| retries.saturating_add(1)),
            priority: task.priority.number(),
            route: task.route.as_deref(),
            has_caller: task.has_caller,
            due: task.due,
            wait: self.description.age(self.now).map(seconds),
            deadline: task.deadline,
            called: task.called,
            lost: task.lost,
            postponed: task.later,
            requeued: task.requeued,
            trace: task.trace.as_deref(),
            args_count: task.args.values,
            args_bytes: task.args.bytes,
            args,
            args_beginning,
        }
    }
}

fn letter_record<'a>(letter: &'a DescribedLetter, envelope: &Protection) -> LetterRecord<'a> {
    let (form, key) = form_and_key(&letter.protection);
    LetterRecord {
        queue: letter.queue.as_str(),
        message: letter.id.as_str(),
        reason: letter.reason.as_str(),
        error: letter.error.as_deref(),
        attempts: letter.attempts,
        deliveries: letter.deliveries,
        at: letter.at,
        is_authentic: is_authentic(envelope),
        form,
        key,
    }
}

fn form_and_key(protection: &Protection) -> (Option<&'static str>, Option<&str>) {
    match protection {
        Protection::Form { form, key } => {
            (Some(form.as_str()), key.as_ref().map(|key| key.as_str()))
        }
        _ => (None, None),
    }
}
