//! ivy's own fields of a message, in `options.ivy`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::id::TaskId;
use crate::wire::object::{BadObject, Field, Object, Value};
use crate::wire::write::ObjectWriter;
use crate::wire::{BadBody, DeadLetterReason, RawJson, TraceParent, TraceState};

/// The version of `options.ivy` that is read and written.
pub(super) const VERSION: u64 = 1;

/// The maximum number of unknown keys in `options` and in `options.ivy`.
pub const MAX_UNKNOWN_OPTIONS: usize = 1_000;

/// The fields of `options.ivy`, which peers of the Node package ignore and echo.
///
/// On the wire:
/// `{"v":1,"id","reply","attempt","due","lost","later","requeued","deadline","iat","trace","tracestate","node"}`.
/// Only `v` and `id` are required. Unknown keys are preserved, after the known ones.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IvyOptions {
    /// The called task's id, the same in all its messages and notices.
    pub id: TaskId,
    /// The channel on which the caller waits for the outcome. Not checked here: a worker publishes
    /// only to channels with its own configured prefix.
    pub reply: Option<Arc<str>>,
    /// The number of the attempt, from 1. Omitted for the first one.
    pub attempt: u32,
    /// When this attempt may start, in milliseconds since 1970, by the clock of the process that
    /// posted the message; includes the delay. A released message keeps the value of its first
    /// delivery. If missing, waiting times and ages are unknown.
    pub due: Option<u64>,
    /// The number of lost deliveries of this attempt: the worker crashed, or its lease ended.
    /// Written if the queue does not count them separately, or if the message replaces that of a
    /// postponed task; omitted if zero.
    pub lost: u32,
    /// How often the handler postponed the task. Unrelated to failures.
    pub later: u32,
    /// How often the task was requeued from the dead letters.
    pub requeued: u32,
    /// The deadline for starting the task, in milliseconds since 1970.
    pub deadline: Option<u64>,
    /// When the task was called, in milliseconds since 1970, if its queue limits the age of
    /// messages, or if the task is delayed and has a trace context.
    pub called: Option<u64>,
    /// The caller's trace context. An invalid one is ignored, as the W3C recommendation requires.
    pub trace: Option<TraceParent>,
    /// The state that tracing systems add to the trace context. Neither written nor read without a
    /// trace context. An invalid one is ignored.
    pub tracestate: Option<TraceState>,
    /// Whether the task was sent by a peer of the Node package, which waits on the shared channel.
    /// Set in the message of the next attempt if the previous message had no `options.ivy`.
    pub node: bool,
    unknown: Vec<Unknown>,
}

/// An unknown entry. The key is preserved as it was written, including quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unknown {
    raw_key: RawJson,
    value: RawJson,
}

impl IvyOptions {
    /// The options of a first attempt without a waiting caller.
    #[must_use]
    pub fn new(id: TaskId) -> Self {
        IvyOptions {
            id,
            reply: None,
            attempt: 1,
            due: None,
            lost: 0,
            later: 0,
            requeued: 0,
            deadline: None,
            called: None,
            trace: None,
            tracestate: None,
            node: false,
            unknown: Vec::new(),
        }
    }

    pub(super) fn parse(value: Value<'_>) -> Result<Self, BadBody> {
        let object = value.object().map_err(|error| match error {
            BadObject::DuplicateKey(at) => {
                BadBody::new(DeadLetterReason::DuplicateKey, "`options.ivy` has a duplicate key")
                    .at(at)
            }
            BadObject::NotJson(_) | BadObject::NotAnObject => {
                bad("`options.ivy` must be an object").at(0)
            }
        })?;
        let known = KnownFields::of(object)?;
        Ok(IvyOptions {
            id: known.id,
            reply: known.reply.map(Arc::from),
            attempt: known.attempt,
            due: known.due,
            lost: known.lost,
            later: known.later,
            requeued: known.requeued,
            deadline: known.deadline,
            called: known.called,
            trace: known.trace,
            tracestate: known.tracestate,
            node: known.node,
            unknown: unknown(object).map(Unknown::from).collect(),
        })
    }

    /// The length of all fields that have no limit of their own, in bytes.
    pub(super) fn size(&self) -> usize {
        let entry = |entry: &Unknown| entry.raw_key.as_str().len() + entry.value.as_str().len() + 2;
        let reply = self.reply.as_ref().map_or(0, |reply| reply.len());
        let tracestate = self.tracestate.as_ref().map_or(0, |state| state.as_str().len());
        reply + tracestate + self.unknown.iter().map(entry).sum::<usize>()
    }

    /// Writes the entries, except unknown ones whose keys are in `except`.
    pub(super) fn write(&self, out: &mut ObjectWriter, except: &[&str]) {
        out.number("v", VERSION);
        out.plain_text("id", self.id.encoded(&mut [0; TaskId::ENCODED]));
        if let Some(reply) = &self.reply {
            out.text("reply", reply);
        }
        if self.attempt > 1 {
            out.number("attempt", self.attempt);
        }
        if let Some(due) = self.due {
            out.number("due", due);
        }
        if self.lost > 0 {
            out.number("lost", self.lost);
        }
        if self.later > 0 {
            out.number("later", self.later);
        }
        if self.requeued > 0 {
            out.number("requeued", self.requeued);
        }
        if let Some(deadline) = self.deadline {
            out.number("deadline", deadline);
        }
        if let Some(called) = self.called {
            out.number("iat", called);
        }
        if let Some(trace) = &self.trace {
            out.text("trace", trace.as_str());
            if let Some(state) = &self.tracestate {
                out.text("tracestate", state.as_str());
            }
        }
        if self.node {
            out.json("node", "true");
        }
        for entry in &self.unknown {
            let key: Option<String> = serde_json::from_str(entry.raw_key.as_str()).ok();
            if !key.is_some_and(|key| except.contains(&key.as_str())) {
                out.entry(entry.raw_key.as_str(), entry.value.as_str());
            }
        }
    }
}

/// The known fields of an object.
pub(super) struct KnownFields<'t> {
    pub(super) id: TaskId,
    reply: Option<Cow<'t, str>>,
    attempt: u32,
    due: Option<u64>,
    lost: u32,
    later: u32,
    requeued: u32,
    deadline: Option<u64>,
    called: Option<u64>,
    trace: Option<TraceParent>,
    tracestate: Option<TraceState>,
    node: bool,
}

impl<'t> KnownFields<'t> {
    pub(super) fn of(object: Object<'t>) -> Result<Self, BadBody> {
        match field(object, "v", "`options.ivy.v` must be a whole number")? {
            Some(VERSION) => {}
            Some(_) => {
                return Err(BadBody::new(
                    DeadLetterReason::UnsupportedVersion,
                    "the version of `options.ivy` is not supported here; upgrade this worker",
                ));
            }
            None => return Err(bad("`options.ivy.v` is missing")),
        }
        let id_rule = "`options.ivy.id` must be a text of 22 characters of base64url";
        let id = text_field(object, "id", id_rule)?.ok_or_else(|| bad(id_rule))?;
        let attempt_rule = "`options.ivy.attempt` must be a whole number from 1";
        let attempt = field(object, "attempt", attempt_rule)?.unwrap_or(1);
        if attempt == 0 {
            return Err(bad(attempt_rule));
        }
        let trace = text_field(object, "trace", "`options.ivy.trace` must be a text")?;
        let trace = trace.as_deref().and_then(TraceParent::parse);
        let fields = KnownFields {
            reply: text_field(object, "reply", "`options.ivy.reply` must be a text")?,
            id: id.parse().map_err(|_| bad(id_rule))?,
            attempt,
            lost: field(object, "lost", "`options.ivy.lost` must be a whole number from 0")?
                .unwrap_or(0),
            due: field(object, "due", "`options.ivy.due` must be milliseconds since 1970")?,
            later: field(object, "later", "`options.ivy.later` must be a whole number from 0")?
                .unwrap_or(0),
            requeued: field(
                object,
                "requeued",
                "`options.ivy.requeued` must be a whole number from 0",
            )?
            .unwrap_or(0),
            deadline: field(
                object,
                "deadline",
                "`options.ivy.deadline` must be milliseconds since 1970",
            )?,
            called: field(object, "iat", "`options.ivy.iat` must be milliseconds since 1970")?,
            tracestate: trace
                .as_ref()
                .and_then(|_| TraceState::parse(&object.get("tracestate")?.as_str()?)),
            trace,
            node: field(object, "node", "`options.ivy.node` must be true or false")?
                .unwrap_or(false),
        };
        if unknown(object).count() > MAX_UNKNOWN_OPTIONS {
            return Err(bad("`options.ivy` has too many keys"));
        }
        Ok(fields)
    }
}

const KNOWN: [&str; 13] = [
    "v",
    "id",
    "reply",
    "attempt",
    "due",
    "lost",
    "later",
    "requeued",
    "deadline",
    "iat",
    "trace",
    "tracestate",
    "node",
];

fn unknown(object: Object<'_>) -> impl Iterator<Item = Field<'_>> {
    object.fields().filter(|field| !field.key().is_some_and(|key| KNOWN.contains(&key)))
}

impl From<Field<'_>> for Unknown {
    fn from(field: Field<'_>) -> Self {
        Unknown { raw_key: RawJson::written(&*field.raw_key()), value: field.value().into() }
    }
}

/// The value of a known key: a text, or `None` if it is absent or `null`.
pub(super) fn text_field<'a>(
    object: Object<'a>,
    key: &str,
    rule: &'static str,
) -> Result<Option<Cow<'a, str>>, BadBody> {
    match object.get(key) {
        None => Ok(None),
        Some(value) if value.text() == "null" => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| bad(rule).at(object.offset(value))),
    }
}

/// The value of a known key: of this type, or `None` if it is absent or `null`.
pub(super) fn field<T: serde::de::DeserializeOwned>(
    object: Object<'_>,
    key: &str,
    rule: &'static str,
) -> Result<Option<T>, BadBody> {
    match object.get(key) {
        None => Ok(None),
        Some(value) if value.text() == "null" => Ok(None),
        Some(value) => value.read().map(Some).ok_or_else(|| bad(rule).at(object.offset(value))),
    }
}

pub(super) fn bad(rule: &'static str) -> BadBody {
    BadBody::new(DeadLetterReason::BadOptions, rule)
}
