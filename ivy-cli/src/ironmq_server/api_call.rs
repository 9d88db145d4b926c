//! Requests: maps a verb, an address and a body to a call.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use ivy_proto::broker::{Request, Target};
use ivy_proto::queue::{Body, DeadLetterSetting, NewMessage, QueueSettings};
use ivy_proto::{MessageId, QueueName, ReservationId};

use super::alerts::{self, AlertsChange, NewAlert};
use super::failure::Failure;
use super::fields::{self, Field, Fields};
use super::json::Json;
use super::push::{self, PushUpdate, SubscribersChange};
use super::queue_kind::QueueKind;
use super::route::{Query, Resource};

/// The maximum number of messages per request. Capacity for more is not allocated before they are
/// read.
const MAX_MESSAGES: usize = 100;
/// The key of a reservation id.
const RESERVATION: &str = "reservation_id";
/// The default page size of a list of queues.
const DEFAULT_PAGE_SIZE: usize = 30;

/// A call: a request to the broker, or one that the server itself handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiCall {
    /// A request to the broker, whose response is returned as it is.
    Broker(Request),
    /// Return a queue's settings, with or without its sizes.
    GetQueue { queue: QueueName, sizes: bool },
    /// Merge settings into a queue. Depending on the verb, a missing queue is created.
    UpdateQueue { queue: QueueName, update: Box<QueueUpdate>, verb: UpdateVerb },
    /// Delete a queue, its messages and its settings.
    DeleteQueue { queue: QueueName },
    /// Change a queue's subscribers.
    Subscribers { queue: QueueName, change: SubscribersChange },
    /// Change a queue's alerts.
    Alerts { queue: QueueName, change: AlertsChange },
    /// Return the subscribers that a message was pushed to.
    PushStatus { queue: QueueName, message: MessageId },
}

/// The verb of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UpdateVerb {
    /// Creates a missing queue, and does not return sizes.
    Put,
    /// May refuse a missing queue, and returns sizes.
    Patch,
}

/// Changed settings of a queue: those of the broker, and others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueUpdate {
    pub(crate) kind: Option<QueueKind>,
    pub(crate) settings: QueueSettings,
    pub(crate) push: Option<PushUpdate>,
    pub(crate) alerts: Option<Vec<NewAlert>>,
}

impl ApiCall {
    /// Reads a request. Every verb may have a body or none; unknown keys are ignored.
    pub(crate) fn read(
        method: &Method,
        resource: Resource,
        query: &Query,
        body: &Bytes,
        strict: bool,
    ) -> Result<ApiCall, Failure> {
        // The body is parsed only if it is needed.
        let document = OnceCell::new();
        let fields = || {
            let parsed = fields::parse(body)?;
            Fields::of(document.get_or_init(|| parsed).as_ref(), strict)
        };
        Ok(match (method, resource) {
            (&Method::GET, Resource::Queues) => ApiCall::Broker(list(query)?),
            (&Method::PUT, Resource::Queue(queue)) => {
                let update = Box::new(update(fields()?)?);
                ApiCall::UpdateQueue { queue, update, verb: UpdateVerb::Put }
            }
            (&Method::PATCH, Resource::Queue(queue)) => {
                let update = Box::new(update(fields()?)?);
                ApiCall::UpdateQueue { queue, update, verb: UpdateVerb::Patch }
            }
            (&Method::GET, Resource::Queue(queue)) => ApiCall::GetQueue { queue, sizes: true },
            (&Method::GET, Resource::QueueInfo(queue)) => ApiCall::GetQueue { queue, sizes: false },
            (&Method::DELETE, Resource::Queue(queue)) => ApiCall::DeleteQueue { queue },
            (&Method::POST, Resource::Messages(queue)) => ApiCall::Broker(post(queue, fields()?)?),
            (&Method::POST, Resource::Webhook(queue)) => ApiCall::Broker(webhook(queue, body)?),
            (&Method::GET, Resource::Messages(queue)) => {
                let count = match query.integer("n")? {
                    0 => fields()?.count("n")?,
                    count => count,
                };
                ApiCall::Broker(Request::Peek { queue, count })
            }
            (&Method::DELETE, Resource::Messages(queue)) => {
                ApiCall::Broker(delete_many(queue, fields()?)?)
            }
            (&Method::POST, Resource::Reservations(queue)) => {
                ApiCall::Broker(reserve(queue, fields()?)?)
            }
            (&Method::GET, Resource::Message(queue, message)) => {
                ApiCall::Broker(Request::GetMessage { queue, message })
            }
            (&Method::DELETE, Resource::Message(queue, message)) => {
                let target = target(message, fields()?.field(RESERVATION))?;
                ApiCall::Broker(Request::Delete { queue, target })
            }
            (&Method::POST, Resource::Touch(queue, message)) => {
                ApiCall::Broker(touch(queue, message, fields()?)?)
            }
            (&Method::POST, Resource::Release(queue, message)) => {
                ApiCall::Broker(release(queue, message, fields()?)?)
            }
            (&Method::GET, Resource::PushStatus(queue, message)) => {
                ApiCall::PushStatus { queue, message }
            }
            (&Method::POST, Resource::Subscribers(queue)) => {
                let change = SubscribersChange::Add(push::required_subscribers(fields()?)?);
                ApiCall::Subscribers { queue, change }
            }
            (&Method::PUT, Resource::Subscribers(queue)) => {
                let change = SubscribersChange::Replace(push::required_subscribers(fields()?)?);
                ApiCall::Subscribers { queue, change }
            }
            (&Method::DELETE, Resource::Subscribers(queue)) => {
                let change = SubscribersChange::Remove(push::required_names(fields()?)?);
                ApiCall::Subscribers { queue, change }
            }
            (&Method::POST, Resource::Alerts(queue)) => {
                let change = AlertsChange::Add(alerts::required_alerts(fields()?)?);
                ApiCall::Alerts { queue, change }
            }
            (&Method::PUT, Resource::Alerts(queue)) => {
                let change = AlertsChange::Replace(alerts::required_alerts(fields()?)?);
                ApiCall::Alerts { queue, change }
            }
            (&Method::DELETE, Resource::Alerts(queue)) => {
                let change = AlertsChange::Remove(alerts::required_ids(fields()?)?);
                ApiCall::Alerts { queue, change }
            }
            (&Method::DELETE, Resource::Alert(queue, id)) => {
                ApiCall::Alerts { queue, change: AlertsChange::Remove(vec![id]) }
            }
            (_, resource) => return Err(Failure::wrong_verb(resource.verbs())),
        })
    }
}

fn list(query: &Query) -> Result<Request, Failure> {
    let per_page = match query.integer("per_page")? {
        0 => DEFAULT_PAGE_SIZE,
        names => names,
    };
    let text = |key| query.get(key).unwrap_or_default().to_owned();
    Ok(Request::ListQueues { prefix: text("prefix"), previous: text("previous"), per_page })
}

fn update(fields: Fields<'_>) -> Result<QueueUpdate, Failure> {
    let Some(queue) = fields.object("queue")? else { return Ok(QueueUpdate::default()) };
    let kind = queue.non_empty_text("type")?.map(|name| {
        QueueKind::named(&name)
            .ok_or_else(|| Failure::bad_request("type must be pull, multicast or unicast"))
    });
    let kind = kind.transpose()?;
    let mut settings = QueueSettings::default();
    settings.message_timeout = queue.seconds("message_timeout")?;
    settings.message_expiration = queue.seconds("message_expiration")?;
    settings.dead_letter = match queue.object("dead_letter")? {
        Some(rule) => dead_letter(rule)?,
        None => None,
    };
    let push = queue.object("push")?.map(PushUpdate::read).transpose()?;
    Ok(QueueUpdate { kind, settings, push, alerts: alerts::read_alerts(&queue)? })
}

/// A rule with an empty name switches dead letters off; a missing one changes nothing.
fn dead_letter(rule: Fields<'_>) -> Result<Option<DeadLetterSetting>, Failure> {
    let max_reservations = rule.integer("max_reservations")?.filter(|number| *number > 0);
    let max_reservations = max_reservations.map(|number| u32::try_from(number).unwrap_or(u32::MAX));
    Ok(match rule.text("queue_name")?.as_deref() {
        Some("") => Some(DeadLetterSetting { queue: None, max_reservations: None }),
        Some(name) => {
            let queue = QueueName::new(name).map_err(|error| {
                Failure::bad_request(format!("Invalid dead_letter queue_name: {error}"))
            })?;
            Some(DeadLetterSetting { queue: Some(queue), max_reservations })
        }
        None => max_reservations.map(|_| DeadLetterSetting { queue: None, max_reservations }),
    })
}

fn post(queue: QueueName, fields: Fields<'_>) -> Result<Request, Failure> {
    let messages = fields.objects("messages")?;
    let messages = messages.ok_or_else(|| Failure::bad_request("messages are required"))?;
    let messages = collect(messages.map(new_message))?;
    Ok(Request::Post { queue, messages })
}

fn new_message(fields: Fields<'_>) -> Result<NewMessage, Failure> {
    let (mut body, mut delay, mut headers) = (Json::Null, Json::Null, Json::Null);
    // There may be a hundred messages, so each is read in one pass.
    fields.for_each(|key, value| match key {
        "body" => body = value,
        "delay" => delay = value,
        "push_headers" => headers = value,
        _ => {}
    });
    let body = fields.as_field("body", body).raw_text()?;
    let body = body.ok_or_else(|| Failure::bad_request("A message needs a body"))?;
    let delay = fields.as_field("delay", delay).seconds()?.unwrap_or_default();
    push::check_headers(fields.as_field("push_headers", headers))?;
    Ok(NewMessage { body: Body::new(body.written()), delay })
}

/// Converts the whole body into a message.
fn webhook(queue: QueueName, body: &Bytes) -> Result<Request, Failure> {
    let body = std::str::from_utf8(body)
        .map_err(|_| Failure::bad_request("The body of a message must be UTF-8"))?;
    let json = serde_json::to_string(body).expect("a string is always JSON");
    let written = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
    let body = Body::new(written.expect("a string is written in quotes"));
    Ok(Request::Post { queue, messages: vec![NewMessage { body, delay: Duration::ZERO }] })
}

fn reserve(queue: QueueName, fields: Fields<'_>) -> Result<Request, Failure> {
    Ok(Request::Reserve {
        queue,
        count: fields.count("n")?,
        timeout: fields.seconds("timeout")?,
        wait: fields.seconds("wait")?.unwrap_or_default(),
        delete: fields.flag("delete")?.unwrap_or_default(),
    })
}

/// With `ids`, deletes the messages of these ids; without the key, all messages.
fn delete_many(queue: QueueName, fields: Fields<'_>) -> Result<Request, Failure> {
    if !fields.has("ids") {
        return Ok(Request::Clear { queue });
    }
    // Neither `null` nor an empty list may mean all: a mistake would lose too much.
    let ids = match fields.array("ids")? {
        Some(ids) if !ids.is_empty() => ids,
        _ => return Err(Failure::bad_request("ids must hold at least one message")),
    };
    let targets = ids.map(|value| match value {
        Json::Object(entries) => {
            let (mut id, mut reservation) = (Json::Null, Json::Null);
            entries.for_each(|key, value| match key {
                "id" => id = value,
                RESERVATION => reservation = value,
                _ => {}
            });
            target(message_id(id)?, fields.as_field(RESERVATION, reservation))
        }
        id => Ok(Target { message: message_id(id)?, reservation: None }),
    });
    Ok(Request::DeleteMany { queue, targets: collect(targets)? })
}

/// Collects all items, or returns the first failure. Unlike `collect`, it allocates the capacity up
/// front.
fn collect<T>(items: impl Iterator<Item = Result<T, Failure>>) -> Result<Vec<T>, Failure> {
    let (_, max) = items.size_hint();
    let mut collected = Vec::with_capacity(max.unwrap_or_default().min(MAX_MESSAGES));
    for item in items {
        collected.push(item?);
    }
    Ok(collected)
}

fn touch(queue: QueueName, message: MessageId, fields: Fields<'_>) -> Result<Request, Failure> {
    let target = target(message, fields.field(RESERVATION))?;
    Ok(Request::Touch { queue, target, timeout: fields.seconds("timeout")? })
}

fn release(queue: QueueName, message: MessageId, fields: Fields<'_>) -> Result<Request, Failure> {
    let target = target(message, fields.field(RESERVATION))?;
    let delay = fields.seconds("delay")?.unwrap_or_default();
    Ok(Request::Release { queue, target, delay, failed: false })
}

/// A message with the given reservation. Some clients always send the key, empty if they have none.
fn target(message: MessageId, reservation: Field<'_>) -> Result<Target, Failure> {
    let reservation = reservation.non_empty_text()?.map(ReservationId::new);
    Ok(Target { message, reservation })
}

/// The id of a message, as a string or as a number.
fn message_id(value: Json<'_>) -> Result<MessageId, Failure> {
    let id = match value {
        Json::Text(id) => id.read(),
        Json::Number(id) if id.parse::<u64>().is_ok() => Cow::Borrowed(id),
        _ => Cow::Borrowed(""),
    };
    if id.is_empty() {
        return Err(Failure::bad_request("The id of a message must be a string"));
    }
    Ok(MessageId::new(id))
}
