//! Notices: a worker's report of how a task ended, or that its message was released.

mod missing_result;

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::id::{MessageId, TaskId};
use crate::name::{QueueName, TaskName, is_name};
use crate::queue::Body;
use crate::task::{TaskFailure, TaskOutcome, TaskReleased};
use crate::text::brief;
use crate::wire::canonical::Success;
use crate::wire::ivy_options::KnownFields;
use crate::wire::object::{BadObject, Object, Tree, Value};
use crate::wire::scan::measure;
use crate::wire::shape::Shape;
use crate::wire::write::ObjectWriter;
use crate::wire::{BadBody, Envelope, IvyOptions, RawJson};

pub use missing_result::MissingResult;

/// The maximum size of a notice, in bytes.
pub const MAX_NOTICE: usize = 1024 * 1024;

/// The former name of [`MAX_NOTICE`].
#[deprecated(note = "renamed to `MAX_NOTICE`, as other maxima are named")]
pub const NOTICE_CAP: usize = MAX_NOTICE;

/// Enough for the keys of a notice and those fields of its `options.ivy` that have a limit.
const ROOM: usize = 512;

/// Reports how a task ended, or that its message was released for another worker:
/// `{"id":..,"name":..,"args":..,"options":..,"result":..,"notify":true,"queue":..}`.
///
/// `id` is the message's id in its queue. `result` is an array with the handler's return value,
/// because the Node package's handlers call back with any number of values. On a reply channel,
/// `args` is empty and `options.ivy` is that of the message with `outcome` and `error` added; for a
/// peer of the Node package, `args` and `options` are those of the message, unchanged.
#[derive(Clone, Debug)]
pub struct Notice {
    id: MessageId,
    name: TaskName,
    args: RawJson,
    options: NoticeOptions,
    result: NoticeResult,
    queue: QueueName,
}

#[derive(Clone, Debug)]
enum NoticeOptions {
    /// On a reply channel: only `options.ivy`, with how the task ended.
    ReplyTo { ivy: IvyOptions, no_result: Option<NoResult> },
    /// The options of the message, or as they were read, and their meaning.
    Written(RawJson, Option<NoticeIvyOptions>),
}

#[derive(Clone, Debug)]
enum NoticeResult {
    /// The handler's return value, which is sent in an array.
    Output(RawJson),
    /// The complete array.
    Written(RawJson),
}

/// The meaning of `options.ivy` of a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
struct NoticeIvyOptions {
    id: TaskId,
    /// `None` if the task succeeded and its result is included.
    no_result: Option<NoResult>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum NoResult {
    Missing(MissingResult),
    Failed(TaskFailure),
    /// The task has not ended: why its message was released.
    Released(TaskFailure),
}

/// What a notice reports about its task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TaskUpdate {
    Ended(TaskOutcome),
    /// Why its message was released.
    Released(TaskFailure),
}

impl Notice {
    /// The notice of a success, for a reply channel. If the output makes it larger than
    /// [`MAX_NOTICE`], it reports that instead.
    #[must_use]
    pub fn success(
        message: &MessageId,
        queue: &QueueName,
        name: &TaskName,
        ivy: &IvyOptions,
        output: &RawJson,
    ) -> Notice {
        let result = NoticeResult::Output(output.clone());
        let done = Notice::reply(message, queue, name, ivy, result, None);
        if done.fits() {
            return done;
        }
        Notice::without_result(message, queue, name, ivy, MissingResult::TooLarge)
    }

    /// The notice of a success whose result cannot be sent, for a reply channel.
    #[must_use]
    pub fn without_result(
        message: &MessageId,
        queue: &QueueName,
        name: &TaskName,
        ivy: &IvyOptions,
        missing: MissingResult,
    ) -> Notice {
        let no_result = Some(NoResult::Missing(missing));
        Notice::reply(message, queue, name, ivy, NoticeResult::none(), no_result)
    }

    /// The notice of a task that was dead-lettered, for a reply channel. The failure's texts are
    /// truncated to 1 KiB each.
    #[must_use]
    pub fn failure(
        message: &MessageId,
        queue: &QueueName,
        name: &TaskName,
        ivy: &IvyOptions,
        failure: &TaskFailure,
    ) -> Notice {
        let TaskFailure { kind, message: text, attempts } = failure;
        let no_result = Some(NoResult::Failed(error(kind, text, *attempts)));
        Notice::reply(message, queue, name, ivy, NoticeResult::none(), no_result)
    }

    /// The notice that a task's message was released for another worker, for a reply channel. The
    /// task has not ended. Its texts are truncated to 1 KiB each.
    #[must_use]
    pub fn released(
        message: &MessageId,
        name: &TaskName,
        ivy: &IvyOptions,
        release: &TaskReleased,
    ) -> Notice {
        let TaskReleased { queue, kind, message: text, attempts } = release;
        let no_result = Some(NoResult::Released(error(kind, text, *attempts)));
        Notice::reply(message, queue, name, ivy, NoticeResult::none(), no_result)
    }

    /// The former name of [`released`](Notice::released).
    #[must_use]
    #[deprecated(note = "renamed to `released`: a message is held only while its lease lasts")]
    pub fn held(
        message: &MessageId,
        name: &TaskName,
        ivy: &IvyOptions,
        release: &TaskReleased,
    ) -> Notice {
        Notice::released(message, name, ivy, release)
    }

    /// The notice of a success as a worker of the Node package writes it, for the shared channel.
    ///
    /// Its reader calls back with `args`, so those are required: a result that would make the
    /// notice larger than [`MAX_NOTICE`] is omitted.
    #[must_use]
    pub fn success_for_node(
        message: &MessageId,
        queue: &QueueName,
        envelope: &Envelope,
        output: &RawJson,
    ) -> Notice {
        let with_result = |result| Notice {
            id: message.clone(),
            name: envelope.name.clone(),
            args: envelope.args.clone(),
            options: NoticeOptions::Written(
                envelope.options.to_json(),
                envelope.options.ivy().map(|ivy| NoticeIvyOptions { id: ivy.id, no_result: None }),
            ),
            result,
            queue: queue.clone(),
        };
        let notice = with_result(NoticeResult::Output(output.clone()));
        if notice.fits() {
            return notice;
        }
        with_result(NoticeResult::none())
    }

    /// The former name of [`success_for_node`](Notice::success_for_node).
    #[must_use]
    #[deprecated(note = "renamed to `success_for_node`: it is for peers of the Node package")]
    pub fn success_for_original(
        message: &MessageId,
        queue: &QueueName,
        envelope: &Envelope,
        output: &RawJson,
    ) -> Notice {
        Notice::success_for_node(message, queue, envelope, output)
    }

    fn reply(
        message: &MessageId,
        queue: &QueueName,
        name: &TaskName,
        ivy: &IvyOptions,
        result: NoticeResult,
        no_result: Option<NoResult>,
    ) -> Notice {
        Notice {
            id: message.clone(),
            name: name.clone(),
            args: empty_array(),
            options: NoticeOptions::ReplyTo { ivy: ivy.clone(), no_result },
            result,
            queue: queue.clone(),
        }
    }

    /// Parses a notice.
    ///
    /// # Errors
    /// If it is not a notice. It is then counted and ignored, because any client of the notifier
    /// can publish anything.
    pub fn parse(payload: &[u8]) -> Result<Notice, BadNotice> {
        read(text_of(payload)?, |fields| {
            Ok(Notice {
                id: MessageId::new(&*fields.id),
                name: TaskName::new(&fields.name).map_err(|_| BadNotice::Field("name"))?,
                args: fields.args.into(),
                options: NoticeOptions::Written(fields.options.into(), fields.report),
                result: NoticeResult::Written(fields.result.into()),
                queue: QueueName::new(&fields.queue).map_err(|_| BadNotice::Field("queue"))?,
            })
        })
    }

    /// The notice's JSON.
    #[must_use]
    pub fn to_payload(&self) -> Body {
        Body::new(self.to_text())
    }

    pub(super) fn to_text(&self) -> String {
        let mut out = ObjectWriter::with_room(ROOM + self.size());
        out.text("id", self.id.as_str());
        out.text("name", self.name.as_str());
        out.json("args", self.args.as_str());
        self.options.write(&mut out);
        self.result.write(&mut out);
        out.json("notify", "true");
        out.text("queue", self.queue.as_str());
        out.finish()
    }

    /// The length of its content, in bytes, without keys and short fields, and before escaping.
    fn size(&self) -> usize {
        let json =
            [self.args.as_str().len(), self.options.size(), self.result.json().as_str().len()];
        let texts = [self.id.as_bytes().len(), self.name.as_str().len(), self.queue.as_str().len()];
        json.into_iter().chain(texts).sum()
    }

    fn fits(&self) -> bool {
        // An escaped byte takes at most six. A notice that fits even then need not be serialized to
        // measure it.
        ROOM + 6 * self.size() <= MAX_NOTICE || self.to_text().len() <= MAX_NOTICE
    }

    /// The id of the task, unless it was sent by a peer of the Node package.
    #[must_use]
    pub fn task_id(&self) -> Option<TaskId> {
        match &self.options {
            NoticeOptions::ReplyTo { ivy, .. } => Some(ivy.id),
            NoticeOptions::Written(_, report) => report.as_ref().map(|report| report.id),
        }
    }

    /// How the task ended. A worker of the Node package reports only successes. `None` if it has
    /// not ended: see [`Notice::task_released`].
    #[must_use]
    pub fn outcome(&self) -> Option<TaskOutcome> {
        match self.task_update() {
            TaskUpdate::Ended(outcome) => Some(outcome),
            TaskUpdate::Released(_) => None,
        }
    }

    /// Why the task's message was released, if the notice reports that.
    #[must_use]
    pub fn task_released(&self) -> Option<TaskReleased> {
        match self.task_update() {
            TaskUpdate::Released(error) => Some(TaskReleased::of(self.queue.clone(), error)),
            TaskUpdate::Ended(_) => None,
        }
    }

    /// The former name of [`task_released`](Notice::task_released).
    #[must_use]
    #[deprecated(note = "renamed to `task_released`: a message is held only while its lease lasts")]
    pub fn task_held(&self) -> Option<TaskReleased> {
        self.task_released()
    }

    fn task_update(&self) -> TaskUpdate {
        update_of(self.options.no_result().cloned(), || match &self.result {
            NoticeResult::Output(output) => TaskOutcome::Done(output.clone()),
            NoticeResult::Written(result) => output_of(result.as_str(), measure(result.as_str())),
        })
    }

    /// Whether the task succeeded, with or without its result.
    #[must_use]
    pub fn is_success(&self) -> bool {
        !matches!(self.options.no_result(), Some(NoResult::Failed(_) | NoResult::Released(_)))
    }

    /// The message's id in its queue.
    #[must_use]
    pub fn message(&self) -> &MessageId {
        &self.id
    }

    /// The task's name.
    #[must_use]
    pub fn name(&self) -> &TaskName {
        &self.name
    }

    /// The task's arguments: a JSON array, empty on a reply channel.
    #[must_use]
    pub fn args(&self) -> &RawJson {
        &self.args
    }

    /// The queue that the message was in.
    #[must_use]
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }
}

impl PartialEq for Notice {
    /// A notice is defined by its text.
    fn eq(&self, other: &Self) -> bool {
        self.to_text() == other.to_text()
    }
}

impl Eq for Notice {}

impl NoticeOptions {
    /// What the notice reports instead of a result.
    fn no_result(&self) -> Option<&NoResult> {
        match self {
            NoticeOptions::ReplyTo { no_result, .. } => no_result.as_ref(),
            NoticeOptions::Written(_, report) => report.as_ref()?.no_result.as_ref(),
        }
    }

    fn size(&self) -> usize {
        match self {
            NoticeOptions::ReplyTo { ivy, no_result } => {
                let error = match no_result {
                    Some(NoResult::Failed(error) | NoResult::Released(error)) => {
                        error.kind.len() + error.message.len()
                    }
                    Some(NoResult::Missing(missing)) => {
                        missing.kind().len() + missing.message().len()
                    }
                    None => 0,
                };
                ivy.size() + error
            }
            NoticeOptions::Written(options, _) => options.as_str().len(),
        }
    }

    fn write(&self, out: &mut ObjectWriter) {
        let (ivy, no_result) = match self {
            NoticeOptions::Written(options, _) => return out.json("options", options.as_str()),
            NoticeOptions::ReplyTo { ivy, no_result } => (ivy, no_result),
        };
        out.object("options", |options| {
            options.object("ivy", |fields| {
                ivy.write(fields, &["outcome", "error"]);
                let outcome = match no_result {
                    None | Some(NoResult::Missing(_)) => "ok",
                    Some(NoResult::Failed(_)) => "dead",
                    Some(NoResult::Released(_)) => "held",
                };
                fields.plain_text("outcome", outcome);
                match no_result {
                    None => {}
                    Some(NoResult::Missing(missing)) => {
                        write_error(fields, missing.kind(), missing.message(), ivy.attempt);
                    }
                    Some(NoResult::Failed(error) | NoResult::Released(error)) => {
                        write_error(fields, &error.kind, &error.message, error.attempts);
                    }
                }
            });
        });
    }
}

impl NoticeResult {
    fn none() -> Self {
        NoticeResult::Written(empty_array())
    }

    fn json(&self) -> &RawJson {
        match self {
            NoticeResult::Output(json) | NoticeResult::Written(json) => json,
        }
    }

    /// Writes the array: empty for `null`.
    fn write(&self, out: &mut ObjectWriter) {
        let json = self.json().as_str();
        match self {
            NoticeResult::Output(_) if json == "null" => out.json("result", "[]"),
            NoticeResult::Output(_) => out.array_of_one("result", json),
            NoticeResult::Written(_) => out.json("result", json),
        }
    }
}

/// The part of a notice that the producer of its task needs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoticeSummary {
    pub(crate) task: Option<TaskId>,
    pub(crate) message: MessageId,
    pub(crate) task_update: TaskUpdate,
}

impl NoticeSummary {
    /// Parses a notice, and accepts exactly what [`Notice::parse`] accepts.
    pub(crate) fn parse(payload: &[u8]) -> Result<NoticeSummary, BadNotice> {
        let text = text_of(payload)?;
        match Success::read(text) {
            Some(Success { message, task, result }) => Ok(NoticeSummary {
                task: Some(task),
                message: MessageId::new(message),
                task_update: TaskUpdate::Ended(output_of(result.text, result.shape)),
            }),
            None => NoticeSummary::parse_any(text),
        }
    }

    pub(super) fn parse_any(text: &str) -> Result<NoticeSummary, BadNotice> {
        read(text, |fields| {
            let result = fields.result;
            let shape = result.array().unwrap_or_default();
            Ok(NoticeSummary {
                task: fields.report.as_ref().map(|report| report.id),
                message: MessageId::new(&*fields.id),
                task_update: update_of(fields.report.and_then(|report| report.no_result), || {
                    output_of(result.text(), shape)
                }),
            })
        })
    }
}

/// A payload that is not a notice. Describes the problem without repeating the payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadNotice {
    /// The payload is larger than [`MAX_NOTICE`].
    #[error("the notice has {0} bytes, more than the limit of {MAX_NOTICE}")]
    TooLarge(usize),
    /// The payload is not UTF-8.
    #[error("the notice is not UTF-8")]
    NotUtf8,
    /// The payload is not JSON.
    #[error("the notice is not JSON (at byte {0})")]
    NotJson(usize),
    /// The payload is a frame that does not open.
    #[error("the notice does not open: {0}")]
    Frame(#[from] BadBody),
    /// The payload is JSON, but not an object.
    #[error("the notice is JSON, but not an object")]
    NotAnObject,
    /// This field is missing or invalid.
    #[error("the notice has a missing or invalid field: {0}")]
    Field(&'static str),
}

/// The fields of a notice.
struct Fields<'t> {
    id: Cow<'t, str>,
    name: Cow<'t, str>,
    args: Value<'t>,
    options: Value<'t>,
    result: Value<'t>,
    queue: Cow<'t, str>,
    report: Option<NoticeIvyOptions>,
}

fn text_of(payload: &[u8]) -> Result<&str, BadNotice> {
    if payload.len() > MAX_NOTICE {
        return Err(BadNotice::TooLarge(payload.len()));
    }
    std::str::from_utf8(payload).map_err(|_| BadNotice::NotUtf8)
}

/// Parses a text, and converts its fields.
fn read<T>(
    text: &str,
    make: impl FnOnce(Fields<'_>) -> Result<T, BadNotice>,
) -> Result<T, BadNotice> {
    let bad = |error| match error {
        BadObject::NotJson(at) => BadNotice::NotJson(at),
        BadObject::NotAnObject => BadNotice::NotAnObject,
        BadObject::DuplicateKey(_) => BadNotice::Field("a duplicate key"),
    };
    let tree = Tree::parse(text).map_err(bad)?;
    let object = tree.root().map_err(bad)?;
    if object.get("notify").is_none_or(|notify| notify.text() != "true") {
        return Err(BadNotice::Field("notify"));
    }
    let options = container(object, "options", '{')?;
    make(Fields {
        id: object.get("id").and_then(read_id).ok_or(BadNotice::Field("id"))?,
        name: name(object, "name")?,
        args: container(object, "args", '[')?,
        result: container(object, "result", '[')?,
        queue: name(object, "queue")?,
        report: read_report(options)?,
        options,
    })
}

/// Reads the name of a task or a queue.
fn name<'t>(object: Object<'t>, key: &'static str) -> Result<Cow<'t, str>, BadNotice> {
    let name = object.get(key).and_then(Value::as_str);
    name.filter(|name| is_name(name)).ok_or(BadNotice::Field(key))
}

fn container<'t>(
    object: Object<'t>,
    key: &'static str,
    open: char,
) -> Result<Value<'t>, BadNotice> {
    object.get(key).filter(|value| value.text().starts_with(open)).ok_or(BadNotice::Field(key))
}

/// Reads a message's id. Some queues number their messages, and such a number may exceed any number
/// type.
fn read_id(value: Value<'_>) -> Option<Cow<'_, str>> {
    let is_number = value.text().starts_with(|first: char| first.is_ascii_digit());
    if is_number { Some(value.text().into()) } else { value.as_str() }
}

/// Reads `options.ivy`. Anything else under this key, in a task of another program, is ignored.
fn read_report(options: Value<'_>) -> Result<Option<NoticeIvyOptions>, BadNotice> {
    let Ok(options) = options.object() else { return Ok(None) };
    let Some(ivy) = options.get("ivy") else { return Ok(None) };
    let Ok(fields) = ivy.object() else { return Ok(None) };
    let Ok(ivy) = KnownFields::of(fields) else { return Ok(None) };
    let outcome = match fields.get("outcome") {
        Some(value) => Some(value.as_str().ok_or(BadNotice::Field("outcome"))?),
        None => None,
    };
    let error = || read_error(fields).ok_or(BadNotice::Field("error"));
    let no_result = match outcome.as_deref() {
        None => None,
        Some("ok") if fields.get("error").is_none() => None,
        Some("ok") => {
            let missing = MissingResult::of_kind(&error()?.kind);
            Some(NoResult::Missing(missing.ok_or(BadNotice::Field("outcome"))?))
        }
        Some("dead") => Some(NoResult::Failed(error()?)),
        Some("held") => Some(NoResult::Released(error()?)),
        // An unknown outcome, of a newer worker, does not end a wait.
        Some(_) => return Err(BadNotice::Field("outcome")),
    };
    Ok(Some(NoticeIvyOptions { id: ivy.id, no_result }))
}

fn read_error(fields: Object<'_>) -> Option<TaskFailure> {
    let error = fields.get("error")?.object().ok()?;
    let text = |key| error.read::<String>(key);
    Some(self::error(&text("kind")?, &text("message")?, error.read("attempts")?))
}

/// Reads a notice's `error`.
fn error(kind: &str, message: &str, attempts: u32) -> TaskFailure {
    TaskFailure { kind: brief(kind).to_owned(), message: brief(message).to_owned(), attempts }
}

fn write_error(out: &mut ObjectWriter, kind: &str, message: &str, attempts: u32) {
    out.object("error", |out| {
        out.text("kind", kind);
        out.text("message", message);
        out.number("attempts", attempts);
    });
}

fn update_of(no_result: Option<NoResult>, output: impl FnOnce() -> TaskOutcome) -> TaskUpdate {
    TaskUpdate::Ended(match no_result {
        None => output(),
        Some(NoResult::Missing(MissingResult::TooLarge)) => TaskOutcome::ResultTooLarge,
        Some(NoResult::Missing(MissingResult::TooDeep)) => TaskOutcome::ResultTooDeep,
        Some(NoResult::Failed(failure)) => TaskOutcome::Failed(failure),
        Some(NoResult::Released(error)) => return TaskUpdate::Released(error),
    })
}

/// The outcome with the return value of a handler, or the values that the Node package's handler
/// called back with.
fn output_of(result: &str, shape: Shape) -> TaskOutcome {
    if shape.is_too_deep() {
        return TaskOutcome::ResultTooDeep;
    }
    TaskOutcome::Done(RawJson::written(match shape.elements {
        0 => "null",
        1 => result.get(1..result.len() - 1).unwrap_or("null").trim_ascii(),
        _ => result,
    }))
}

fn empty_array() -> RawJson {
    static EMPTY: LazyLock<RawJson> = LazyLock::new(|| RawJson::written("[]"));
    EMPTY.clone()
}

#[cfg(test)]
mod tests;
