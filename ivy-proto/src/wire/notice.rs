//! Notices: how a worker tells how a task ended.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::id::{MessageId, TaskId};
use crate::name::{QueueName, TaskName, is_name};
use crate::queue::Body;
use crate::task::{TaskFailure, TaskOutcome};
use crate::wire::ivy_options::KnownFields;
use crate::wire::object::{BadObject, Object, Tree, Value};
use crate::wire::shape::measure;
use crate::wire::write::ObjectWriter;
use crate::wire::{BadBody, Envelope, IvyOptions, RawJson};

/// The largest notice that is written or read, in bytes.
pub const NOTICE_CAP: usize = 1024 * 1024;

/// Room for the keys of a notice and the fields of its `options.ivy`.
const ROOM: usize = 256;

/// The longest error message in a notice, in bytes.
const LONGEST_MESSAGE: usize = 1024;

/// The error kind of a successful task whose result did not fit.
const RESULT_TOO_LARGE: &str = "ResultTooLarge";

/// How a task ended:
/// `{"id":..,"name":..,"args":..,"options":..,"result":..,"notify":true,"queue":..}`.
///
/// `id` is the message's id in its queue. `result` is an array of what the handler returned, since
/// the original's handlers call back with any number of values. On a reply channel `args` is empty
/// and `options.ivy` is that of the message with `outcome` and `error` added; towards a peer of
/// the original `args` and `options` are those of the message, untouched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    id: MessageId,
    name: TaskName,
    args: RawJson,
    options: RawJson,
    result: RawJson,
    queue: QueueName,
    verdict: Option<Verdict>,
}

/// What `options.ivy` of a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Verdict {
    id: TaskId,
    /// Nothing if the task succeeded and its result is here.
    instead: Option<Instead>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Instead {
    ResultTooLarge,
    Failed(TaskFailure),
}

impl Notice {
    /// The notice of a success, for a reply channel. If the output makes it larger than
    /// [`NOTICE_CAP`], it tells that instead.
    #[must_use]
    pub fn success(
        message: &MessageId,
        queue: &QueueName,
        name: &TaskName,
        ivy: &IvyOptions,
        output: &RawJson,
    ) -> Notice {
        let done = Notice::reply(message, queue, name, ivy, result_of(output), None);
        if done.fits() {
            return done;
        }
        Notice::too_large(message, queue, name, ivy)
    }

    /// The notice of a success whose result does not fit, for a reply channel.
    #[must_use]
    pub fn too_large(
        message: &MessageId,
        queue: &QueueName,
        name: &TaskName,
        ivy: &IvyOptions,
    ) -> Notice {
        Notice::reply(message, queue, name, ivy, empty_array(), Some(Instead::ResultTooLarge))
    }

    /// The notice of a task that was put aside, for a reply channel. The failure's texts are cut
    /// to 1 KiB each.
    #[must_use]
    pub fn failure(
        message: &MessageId,
        queue: &QueueName,
        name: &TaskName,
        ivy: &IvyOptions,
        failure: &TaskFailure,
    ) -> Notice {
        let failure = TaskFailure {
            kind: cut(&failure.kind).to_owned(),
            message: cut(&failure.message).to_owned(),
            attempts: failure.attempts,
        };
        Notice::reply(message, queue, name, ivy, empty_array(), Some(Instead::Failed(failure)))
    }

    /// The notice of a success as a worker of the original writes it, for the shared channel.
    ///
    /// Its reader calls back with `args`, so those must arrive: a result that would make the
    /// notice larger than [`NOTICE_CAP`] is left out.
    #[must_use]
    pub fn success_for_original(
        message: &MessageId,
        queue: &QueueName,
        envelope: &Envelope,
        output: &RawJson,
    ) -> Notice {
        let with_result = |result| Notice {
            id: message.clone(),
            name: envelope.name.clone(),
            args: envelope.args.clone(),
            options: envelope.options.to_json(),
            result,
            queue: queue.clone(),
            verdict: envelope.options.ivy().map(|ivy| Verdict { id: ivy.id, instead: None }),
        };
        let notice = with_result(result_of(output));
        if notice.fits() {
            return notice;
        }
        with_result(empty_array())
    }

    fn reply(
        message: &MessageId,
        queue: &QueueName,
        name: &TaskName,
        ivy: &IvyOptions,
        result: RawJson,
        instead: Option<Instead>,
    ) -> Notice {
        let mut options = ObjectWriter::with_room(ROOM);
        options.object("ivy", |fields| {
            ivy.write(fields, &["outcome", "error"]);
            let dead = matches!(instead, Some(Instead::Failed(_)));
            fields.text("outcome", if dead { "dead" } else { "ok" });
            match &instead {
                None => {}
                Some(Instead::ResultTooLarge) => {
                    let rule = "the result does not fit into a notice";
                    write_error(fields, RESULT_TOO_LARGE, rule, ivy.attempt);
                }
                Some(Instead::Failed(TaskFailure { kind, message, attempts })) => {
                    write_error(fields, kind, message, *attempts);
                }
            }
        });
        Notice {
            id: message.clone(),
            name: name.clone(),
            args: empty_array(),
            options: RawJson::written(options.finish()),
            result,
            queue: queue.clone(),
            verdict: Some(Verdict { id: ivy.id, instead }),
        }
    }

    /// Reads a notice.
    ///
    /// # Errors
    /// If it is not one. Then it is counted and passed over: whoever reaches the notifier can
    /// publish anything.
    pub fn parse(payload: &[u8]) -> Result<Notice, BadNotice> {
        read(payload, |fields| {
            Ok(Notice {
                id: MessageId::new(&*fields.id),
                name: TaskName::new(&fields.name).map_err(|_| BadNotice::Field("name"))?,
                args: fields.args.into(),
                options: fields.options.into(),
                result: fields.result.into(),
                queue: QueueName::new(&fields.queue).map_err(|_| BadNotice::Field("queue"))?,
                verdict: fields.verdict,
            })
        })
    }

    /// The notice's JSON.
    #[must_use]
    pub fn to_payload(&self) -> Body {
        let mut out = ObjectWriter::with_room(ROOM + self.size());
        out.text("id", self.id.as_str());
        out.text("name", self.name.as_str());
        out.json("args", self.args.as_str());
        out.json("options", self.options.as_str());
        out.json("result", self.result.as_str());
        out.json("notify", "true");
        out.text("queue", self.queue.as_str());
        Body::new(out.finish())
    }

    /// What it holds, in bytes: without keys, and before texts are escaped.
    fn size(&self) -> usize {
        let json = [&self.args, &self.options, &self.result].map(|json| json.as_str().len());
        let texts = [self.id.as_str(), self.name.as_str(), self.queue.as_str()].map(str::len);
        json.into_iter().chain(texts).sum()
    }

    fn fits(&self) -> bool {
        // Escaped, a byte takes six. What fits even so need not be written to know it.
        ROOM + 6 * self.size() <= NOTICE_CAP || self.to_payload().as_str().len() <= NOTICE_CAP
    }

    /// The id of the task that ended, unless it was sent by a peer of the original.
    #[must_use]
    pub fn task_id(&self) -> Option<TaskId> {
        self.verdict.as_ref().map(|verdict| verdict.id)
    }

    /// How the task ended. A worker of the original tells of successes only.
    #[must_use]
    pub fn outcome(&self) -> TaskOutcome {
        outcome_of(self.verdict.clone(), self.result.as_str())
    }

    /// Whether the task succeeded, be its result here or not.
    #[must_use]
    pub fn is_success(&self) -> bool {
        let instead = self.verdict.as_ref().and_then(|verdict| verdict.instead.as_ref());
        !matches!(instead, Some(Instead::Failed(_)))
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

/// What the producer of a task wants to know of its notice, which is less than there is in it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) task: Option<TaskId>,
    pub(crate) message: MessageId,
    pub(crate) outcome: TaskOutcome,
}

impl Report {
    /// Reads a notice, and takes exactly what [`Notice::parse`] takes.
    pub(crate) fn parse(payload: &[u8]) -> Result<Report, BadNotice> {
        read(payload, |fields| {
            Ok(Report {
                task: fields.verdict.as_ref().map(|verdict| verdict.id),
                message: MessageId::new(&*fields.id),
                outcome: outcome_of(fields.verdict, fields.result.text()),
            })
        })
    }
}

/// A payload that is not a notice. It tells what is wrong, and never repeats the payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadNotice {
    /// It is larger than [`NOTICE_CAP`].
    #[error("the notice has {0} bytes, more than the limit of {NOTICE_CAP}")]
    TooLarge(usize),
    /// It is not UTF-8.
    #[error("the notice is not UTF-8")]
    NotUtf8,
    /// It is not JSON.
    #[error("the notice is not JSON (at byte {0})")]
    NotJson(usize),
    /// It is a frame that does not open.
    #[error("the notice does not open: {0}")]
    Frame(#[from] BadBody),
    /// It is JSON, but not an object.
    #[error("the notice is JSON, but not an object")]
    NotAnObject,
    /// This field is missing, or is not as it must be.
    #[error("the notice's field is missing or wrong: {0}")]
    Field(&'static str),
}

/// What stands in a notice.
struct Fields<'t> {
    id: Cow<'t, str>,
    name: Cow<'t, str>,
    args: Value<'t>,
    options: Value<'t>,
    result: Value<'t>,
    queue: Cow<'t, str>,
    verdict: Option<Verdict>,
}

/// Reads a payload, and makes something of its fields.
fn read<T>(
    payload: &[u8],
    make: impl FnOnce(Fields<'_>) -> Result<T, BadNotice>,
) -> Result<T, BadNotice> {
    if payload.len() > NOTICE_CAP {
        return Err(BadNotice::TooLarge(payload.len()));
    }
    let text = std::str::from_utf8(payload).map_err(|_| BadNotice::NotUtf8)?;
    let bad = |error| match error {
        BadObject::NotJson(at) => BadNotice::NotJson(at),
        BadObject::NotAnObject => BadNotice::NotAnObject,
        BadObject::DuplicateKey(_) => BadNotice::Field("a key, which stands twice"),
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
        verdict: read_verdict(options)?,
        options,
    })
}

/// Reads the name of a task or of a queue.
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

/// Reads a message's id. Some queues number their messages, and a number may have more digits than
/// any number type.
fn read_id(value: Value<'_>) -> Option<Cow<'_, str>> {
    let is_number = value.text().starts_with(|first: char| first.is_ascii_digit());
    if is_number { Some(value.text().into()) } else { value.as_str() }
}

/// Reads `options.ivy`. One that a task of somebody else carries is none of our business.
fn read_verdict(options: Value<'_>) -> Result<Option<Verdict>, BadNotice> {
    let Ok(options) = options.object() else { return Ok(None) };
    let Some(ivy) = options.get("ivy") else { return Ok(None) };
    let Ok(fields) = ivy.object() else { return Ok(None) };
    let Ok(ivy) = KnownFields::of(fields) else { return Ok(None) };
    let outcome = match fields.get("outcome") {
        Some(value) => Some(value.as_str().ok_or(BadNotice::Field("outcome"))?),
        None => None,
    };
    let error = || read_error(fields).ok_or(BadNotice::Field("error"));
    let instead = match outcome.as_deref() {
        None => None,
        Some("ok") if fields.get("error").is_none() => None,
        Some("ok") if error()?.kind == RESULT_TOO_LARGE => Some(Instead::ResultTooLarge),
        Some("dead") => Some(Instead::Failed(error()?)),
        Some(_) => return Err(BadNotice::Field("outcome")),
    };
    Ok(Some(Verdict { id: ivy.id, instead }))
}

fn read_error(fields: Object<'_>) -> Option<TaskFailure> {
    let error = fields.get("error")?.object().ok()?;
    let text = |key| error.read::<String>(key).map(|text| cut(&text).to_owned());
    Some(TaskFailure {
        kind: text("kind")?,
        message: text("message")?,
        attempts: error.read("attempts")?,
    })
}

fn write_error(out: &mut ObjectWriter, kind: &str, message: &str, attempts: u32) {
    out.object("error", |out| {
        out.text("kind", kind);
        out.text("message", message);
        out.number("attempts", attempts);
    });
}

/// The beginning of a text, up to 1 KiB, at a border between characters.
fn cut(text: &str) -> &str {
    let longest = text.len().min(LONGEST_MESSAGE);
    let end = (0..=longest).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

/// What a handler returned, as the array that travels: nothing at all for `null`.
fn result_of(output: &RawJson) -> RawJson {
    match output.as_str() {
        "null" => empty_array(),
        output => RawJson::written(["[", output, "]"].concat()),
    }
}

fn outcome_of(verdict: Option<Verdict>, result: &str) -> TaskOutcome {
    match verdict.and_then(|verdict| verdict.instead) {
        None => TaskOutcome::Done(output_of(result)),
        Some(Instead::ResultTooLarge) => TaskOutcome::ResultTooLarge,
        Some(Instead::Failed(failure)) => TaskOutcome::Failed(failure),
    }
}

/// What a handler returned, or the original's handler called back with.
fn output_of(result: &str) -> RawJson {
    RawJson::written(match measure(result).elements {
        0 => "null",
        1 => result.get(1..result.len() - 1).unwrap_or("null").trim_ascii(),
        _ => result,
    })
}

fn empty_array() -> RawJson {
    static EMPTY: LazyLock<RawJson> = LazyLock::new(|| RawJson::written("[]"));
    EMPTY.clone()
}

#[cfg(test)]
mod tests;
