//! Responses: maps the outcome of a call to HTTP.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::StatusCode;
use ivy_proto::broker::Response;
use ivy_proto::queue::QueueInfo;
use ivy_proto::{QueueName, Receipt};
use serde::Serialize;

use super::alerts::Alerts;
use super::failure::Failure;
use super::messages::{JsonMessage, message, messages, posted};
use super::push::{Push, PushStatus};
use super::state::{Extras, Outcome, Reply};

/// A status, and a JSON body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonResponse {
    pub(crate) status: StatusCode,
    pub(crate) allow: Option<&'static str>,
    pub(crate) body: Bytes,
    /// Whether it contains an array of messages.
    pub(crate) has_messages: bool,
}

impl JsonResponse {
    /// The response to an outcome. Only 200 and 201 mean success.
    pub(crate) fn new(outcome: Outcome, project: &str) -> Self {
        match outcome {
            Ok(reply) => JsonResponse::reply(reply, project),
            Err(failure) => JsonResponse::failure(failure),
        }
    }

    /// The response to a failure.
    pub(crate) fn failure(failure: Failure) -> Self {
        let Failure { status, message, allow } = failure;
        JsonResponse { allow, ..json(status, &Message { msg: message }) }
    }

    fn reply(reply: Reply, project: &str) -> Self {
        match reply {
            Reply::Broker(response) => JsonResponse::broker(response, project),
            Reply::Queue(queue) => {
                ok(&QueueRoot { queue: Queue::new(project, &queue.info, &queue.extras) })
            }
            Reply::Done(text) => ok(&message_only(text)),
            Reply::PushStatus(subscribers) => ok(&Subscribers { subscribers }),
        }
    }

    fn broker(response: Response, project: &str) -> Self {
        match response {
            Response::Posted(ids) => {
                JsonResponse { status: StatusCode::CREATED, ..written(posted(&ids)) }
            }
            Response::Reserved(deliveries) => {
                let deliveries = deliveries.iter().map(JsonMessage::reserved);
                JsonResponse { has_messages: true, ..written(messages(deliveries)) }
            }
            Response::Message(view) => written(message(JsonMessage::viewed(&view))),
            Response::Peeked(views) => {
                let views = views.iter().map(JsonMessage::viewed);
                JsonResponse { has_messages: true, ..written(messages(views)) }
            }
            Response::Deleted => ok(&message_only("Deleted")),
            // No HTTP request leads to this.
            Response::PostedEach(_) | Response::DeletedEach(_) => ok(&message_only("Done")),
            Response::Cleared => ok(&message_only("Cleared")),
            Response::Touched(Receipt { reservation, .. }) => {
                ok(&Touched { reservation_id: reservation.as_str(), msg: "Touched" })
            }
            Response::Released => ok(&message_only("Released")),
            Response::Queue(info) => {
                let extras = Extras::default();
                ok(&QueueRoot { queue: Queue::new(project, &info, &extras) })
            }
            // With a full stop, unlike all others.
            Response::QueueDeleted => ok(&message_only("Deleted.")),
            Response::Queues(names) => {
                ok(&Queues { queues: names.iter().map(Named::new).collect() })
            }
        }
    }
}

fn ok(body: &impl Serialize) -> JsonResponse {
    json(StatusCode::OK, body)
}

fn json(status: StatusCode, body: &impl Serialize) -> JsonResponse {
    let body = serde_json::to_vec(body);
    JsonResponse {
        status,
        ..written(body.expect("strings, numbers and lists of them are always JSON"))
    }
}

fn written(body: Vec<u8>) -> JsonResponse {
    JsonResponse { status: StatusCode::OK, allow: None, body: body.into(), has_messages: false }
}

fn message_only(text: &'static str) -> Message {
    Message { msg: Cow::Borrowed(text) }
}

#[derive(Serialize)]
struct Message {
    msg: Cow<'static, str>,
}

#[derive(Serialize)]
struct Touched<'a> {
    reservation_id: &'a str,
    msg: &'static str,
}

#[derive(Serialize)]
struct Subscribers {
    subscribers: Vec<PushStatus>,
}

#[derive(Serialize)]
struct Queues<'a> {
    queues: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

impl<'a> Named<'a> {
    fn new(name: &'a QueueName) -> Self {
        Named { name: name.as_str() }
    }
}

#[derive(Serialize)]
struct QueueRoot<'a> {
    queue: Queue<'a>,
}

#[derive(Serialize)]
struct Queue<'a> {
    project_id: &'a str,
    name: &'a str,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_timeout: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    push: Option<&'a Push>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter: Option<DeadLetter<'a>>,
    #[serde(skip_serializing_if = "Alerts::is_empty")]
    alerts: &'a Alerts,
}

#[derive(Serialize)]
struct DeadLetter<'a> {
    queue_name: &'a str,
    max_reservations: Option<u32>,
}

impl<'a> Queue<'a> {
    fn new(project: &'a str, info: &'a QueueInfo, extras: &'a Extras) -> Self {
        let settings = &info.settings;
        let rule = settings.dead_letter.as_ref();
        Queue {
            project_id: project,
            name: info.name.as_str(),
            r#type: extras.kind.name(),
            message_timeout: settings.message_timeout.map(|time| time.as_secs()),
            message_expiration: settings.message_expiration.map(|time| time.as_secs()),
            size: info.size,
            total_messages: info.total_messages,
            push: extras.push.as_ref(),
            dead_letter: rule.and_then(|rule| {
                Some(DeadLetter {
                    queue_name: rule.queue.as_ref()?.as_str(),
                    max_reservations: rule.max_reservations,
                })
            }),
            alerts: &extras.alerts,
        }
    }
}
