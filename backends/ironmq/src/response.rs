//! Successful responses: what they must contain to be accepted.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http_date::unix_seconds;
use crate::json::{self, Element, Entries, Object};
use crate::messages::{self, MAX_MESSAGES, MAX_SURPLUS, Message};
use crate::redaction::Redaction;
use crate::request::clamped_count;
use ivy_proto::QueueName;
use ivy_proto::queue::{
    DeadLetterSetting, DeliveryCount, PeekedMessage, QueueInfo, QueueOp, QueueReply, Reserved,
    ReservedMessage, ResponseDeviation,
};
use ivy_proto::{MessageId, Receipt, ReservationId};

/// Why a response is not accepted. Never repeats its body.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadResponse {
    #[error("it is encoded although no encoding was requested")]
    Encoded,
    #[error("it has both Transfer-Encoding and Content-Length, so its end is ambiguous")]
    TwoLengths,
    #[error("it is not the expected JSON; its content type is {0:?}")]
    NotExpected(String),
    #[error("it acknowledges {ids} of {messages} messages")]
    WrongCount { ids: usize, messages: usize },
    #[error("{0} is missing or has the wrong type")]
    Missing(&'static str),
    #[error("it does not match the request")]
    Mismatch,
}

impl BadResponse {
    /// The same error without the content type, if that must not be shown.
    pub(crate) fn redacted(self, redaction: &Redaction<'_>) -> Self {
        match self {
            BadResponse::NotExpected(content_type) => {
                BadResponse::NotExpected(redaction.quote(&content_type).unwrap_or_default())
            }
            problem => problem,
        }
    }
}

/// Reads the response to an operation that succeeded according to its status, and reports the
/// deviations despite which it is accepted.
pub(crate) fn read(
    op: &QueueOp,
    headers: &HeaderMap,
    body: &[u8],
    mut note: impl FnMut(ResponseDeviation),
) -> Result<QueueReply, BadResponse> {
    let reply = read_noting(op, headers, body, &mut note)?;
    if !has_json_content_type(headers) {
        note(ResponseDeviation::ContentType);
    }
    Ok(reply)
}

fn read_noting(
    op: &QueueOp,
    headers: &HeaderMap,
    body: &[u8],
    note: &mut impl FnMut(ResponseDeviation),
) -> Result<QueueReply, BadResponse> {
    if !is_unencoded(headers) {
        return Err(BadResponse::Encoded);
    }
    // Parties on the way may disagree on which one applies.
    if headers.contains_key(TRANSFER_ENCODING) && headers.contains_key(CONTENT_LENGTH) {
        return Err(BadResponse::TwoLengths);
    }
    let response = JsonResponse { headers, body };
    match op {
        QueueOp::Post { messages, .. } => posted(response.object()?, messages.items().len()),
        QueueOp::Reserve { count, .. } => {
            Ok(reserved(response.messages(note)?, clamped_count(*count)))
        }
        QueueOp::Peek { .. } => {
            let messages = response.messages(note)?;
            Ok(QueueReply::Peeked(messages.objects.into_iter().filter_map(peeked).collect()))
        }
        QueueOp::Get { message, .. } => got(response.object()?, message),
        QueueOp::Delete { .. } | QueueOp::DeleteMany { .. } => {
            response.done().map(|()| QueueReply::all_deleted(deleted(op)))
        }
        QueueOp::Touch { receipt, .. } => touched(response.object()?, receipt),
        QueueOp::Release { .. } => response.done().map(|()| QueueReply::Released),
        QueueOp::Clear { .. } => response.done().map(|()| QueueReply::Cleared),
        QueueOp::DeleteQueue { .. } => response.done().map(|()| QueueReply::QueueDeleted),
        QueueOp::GetQueue { queue }
        | QueueOp::CreateQueue { queue }
        | QueueOp::UpdateQueue { queue, .. } => {
            let mut info = queue_info(response.object()?, queue)?;
            info.server_time = date(headers);
            Ok(QueueReply::Queue(Box::new(info)))
        }
        QueueOp::ListQueues { .. } => queues(response.object()?),
    }
}

/// How many messages a delete covers. Its response confirms all of them.
fn deleted(op: &QueueOp) -> usize {
    match op {
        QueueOp::DeleteMany { receipts, .. } => receipts.items().len(),
        _ => 1,
    }
}

/// Whether the body is not encoded.
fn is_unencoded(headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether the Content-Type is JSON.
fn has_json_content_type(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

/// The text under `msg`, if the body is a JSON object with one. The content type is ignored because
/// proxies and old servers set it wrongly.
pub(crate) fn message(body: &[u8]) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(body).ok()?;
    let Object(response) = serde_json::from_str::<Object<MessageResponse<'_>>>(text).ok()?;
    json::text(response.msg?.get())
}

struct JsonResponse<'a> {
    headers: &'a HeaderMap,
    body: &'a [u8],
}

impl<'a> JsonResponse<'a> {
    fn object<T: Deserialize<'a>>(&self) -> Result<T, BadResponse> {
        let text = std::str::from_utf8(self.body).map_err(|_| self.not_expected())?;
        match serde_json::from_str::<Object<T>>(text) {
            Ok(Object(fields)) => Ok(fields),
            // serde's own error text may quote the body.
            Err(_) => Err(self.not_expected()),
        }
    }

    fn not_expected(&self) -> BadResponse {
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        BadResponse::NotExpected(content_type.unwrap_or_default().chars().take(80).collect())
    }

    /// The messages of a reserve or peek. Servers before 3.1.10 omitted them, or wrote `null`, if
    /// there were none; a response with anything else instead is invalid.
    fn messages(
        &self,
        note: &mut impl FnMut(ResponseDeviation),
    ) -> Result<Entries<Message<'a>, MAX_MESSAGES>, BadResponse> {
        // The usual format is read in one pass.
        if let Some(objects) = std::str::from_utf8(self.body).ok().and_then(messages::read) {
            return Ok(Entries { objects, others: 0 });
        }
        let response: MessagesResponse<'_> = self.object()?;
        match (response.messages, response.msg) {
            (Some(Some(messages)), _) => Ok(messages),
            (Some(None), _) | (None, None) => {
                note(ResponseDeviation::NoMessages);
                Ok(Entries::default())
            }
            (None, Some(_)) => Err(BadResponse::Missing("messages")),
        }
    }

    /// Only the success is confirmed. The text differs between servers.
    fn done(&self) -> Result<(), BadResponse> {
        let response: MessageResponse<'_> = self.object()?;
        let response = response.msg.and_then(|msg| json::text(msg.get()));
        response.map(|_| ()).ok_or(BadResponse::Missing("msg"))
    }
}

#[derive(Deserialize)]
struct MessageResponse<'a> {
    #[serde(borrow)]
    msg: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct PostResponse<'a> {
    #[serde(borrow)]
    ids: Option<Vec<&'a RawValue>>,
}

fn posted(response: PostResponse<'_>, messages: usize) -> Result<QueueReply, BadResponse> {
    let ids = response.ids.unwrap_or_default();
    if ids.len() != messages {
        return Err(BadResponse::WrongCount { ids: ids.len(), messages });
    }
    let ids = ids
        .into_iter()
        .map(|id| json::id(id.get()).map(|id| Ok(MessageId::new(id))))
        .collect::<Option<_>>();
    ids.map(QueueReply::Posted).ok_or(BadResponse::Missing("an id"))
}

#[derive(Deserialize)]
struct MessagesResponse<'a> {
    /// `Some(None)` if it is `null`.
    #[serde(borrow, default, deserialize_with = "present")]
    messages: Option<Option<Entries<Message<'a>, MAX_MESSAGES>>>,
    msg: Option<&'a RawValue>,
}

/// Distinguishes `null` from a missing key.
fn present<'de, T: Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn reserved(entries: Entries<Message<'_>, MAX_MESSAGES>, count: usize) -> QueueReply {
    let mut unusable = entries.others;
    let mut messages = Vec::with_capacity(entries.objects.len());
    for entry in entries.objects {
        match reserved_message(entry) {
            Some(message) => messages.push(message),
            None => unusable += 1,
        }
    }
    let max = count + MAX_SURPLUS;
    // A queue returns its messages in order. If sorted, they are distinct.
    let is_in_order = messages.is_sorted_by(|one, next| one.receipt < next.receipt);
    if !is_in_order || messages.len() > max {
        unusable += drop_repeated(&mut messages, max);
    }
    QueueReply::Reserved(Reserved { messages, unusable })
}

/// Keeps `max` distinct messages at most and returns how many more there were. The same
/// reservation twice is one message, which must run once.
fn drop_repeated(messages: &mut Vec<ReservedMessage>, max: usize) -> usize {
    let mut surplus = 0;
    let mut known = BTreeSet::new();
    messages.retain(|message| {
        if known.contains(&message.receipt) {
            return false;
        }
        let has_room = known.len() < max;
        if has_room {
            known.insert(message.receipt.clone());
        }
        surplus += usize::from(!has_room);
        has_room
    });
    surplus
}

fn reserved_message(message: Message<'_>) -> Option<ReservedMessage> {
    let receipt = Receipt {
        message: MessageId::new(json::id(message.id?)?),
        reservation: ReservationId::new(json::id(message.reservation_id?)?),
    };
    let deliveries = DeliveryCount::from_reserved_count(json::count(message.reserved_count));
    Some(ReservedMessage { receipt, body: json::body(message.body), deliveries })
}

fn peeked(message: Message<'_>) -> Option<PeekedMessage> {
    let id = MessageId::new(json::id(message.id?)?);
    let reserved_count = json::count(message.reserved_count);
    Some(PeekedMessage { id, body: json::body(message.body), reserved_count })
}

#[derive(Deserialize)]
struct GetResponse<'a> {
    #[serde(borrow)]
    message: Option<Element<Message<'a>>>,
}

fn got(response: GetResponse<'_>, requested: &MessageId) -> Result<QueueReply, BadResponse> {
    let Some(Element::Object(message)) = response.message else {
        return Err(BadResponse::Missing("message"));
    };
    let message = peeked(message).ok_or(BadResponse::Missing("message"))?;
    // A late response to an earlier request on the same connection must not be accepted here.
    if message.id != *requested {
        return Err(BadResponse::Mismatch);
    }
    Ok(QueueReply::Message(message))
}

#[derive(Deserialize)]
struct TouchResponse<'a> {
    #[serde(borrow)]
    reservation_id: Option<&'a RawValue>,
}

fn touched(response: TouchResponse<'_>, receipt: &Receipt) -> Result<QueueReply, BadResponse> {
    let reservation = response.reservation_id.and_then(|id| json::id(id.get()));
    let reservation = reservation.ok_or(BadResponse::Missing("reservation_id"))?;
    let message = receipt.message.clone();
    Ok(QueueReply::Touched(Receipt { message, reservation: ReservationId::new(reservation) }))
}

#[derive(Deserialize)]
struct QueueResponse<'a> {
    #[serde(borrow)]
    queue: Option<Element<Queue<'a>>>,
}

#[derive(Deserialize)]
struct Queue<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(rename = "type")]
    kind: Option<&'a RawValue>,
    message_timeout: Option<&'a RawValue>,
    message_expiration: Option<&'a RawValue>,
    size: Option<&'a RawValue>,
    total_messages: Option<&'a RawValue>,
    dead_letter: Option<Element<DeadLetter<'a>>>,
}

#[derive(Deserialize)]
struct DeadLetter<'a> {
    #[serde(borrow)]
    queue_name: Option<&'a RawValue>,
    max_reservations: Option<&'a RawValue>,
}

fn queue_info(
    response: QueueResponse<'_>,
    requested: &QueueName,
) -> Result<QueueInfo, BadResponse> {
    let Some(Element::Object(queue)) = response.queue else {
        return Err(BadResponse::Missing("queue"));
    };
    let name = queue.name.and_then(text).ok_or(BadResponse::Missing("name"))?;
    if name != requested.as_str() {
        return Err(BadResponse::Mismatch);
    }
    let seconds = |value| json::number(value).map(Duration::from_secs);
    let mut info = QueueInfo::new(requested.clone());
    info.settings.reservable = queue.kind.and_then(text).and_then(|kind| is_reservable(&kind));
    info.settings.message_timeout = seconds(queue.message_timeout);
    info.settings.message_expiration = seconds(queue.message_expiration);
    info.settings.dead_letter = queue.dead_letter.and_then(dead_letter);
    info.size = json::number(queue.size);
    info.total_messages = json::number(queue.total_messages);
    Ok(info)
}

/// When the server responded, by its clock.
fn date(headers: &HeaderMap) -> Option<Duration> {
    let date = headers.get(DATE)?.to_str().ok()?;
    unix_seconds(date).map(Duration::from_secs)
}

fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    json::text(value.get())
}

/// Whether workers can reserve the messages of a queue of this type.
fn is_reservable(kind: &str) -> Option<bool> {
    match kind {
        "pull" => Some(true),
        // The server pushes each message to one or all subscribers of the queue.
        "multicast" | "unicast" => Some(false),
        _ => None,
    }
}

fn dead_letter(setting: Element<DeadLetter<'_>>) -> Option<DeadLetterSetting> {
    let Element::Object(setting) = setting else {
        return None;
    };
    let name = setting.queue_name.and_then(text)?;
    // An empty name switches the rule off.
    (!name.is_empty()).then(|| DeadLetterSetting {
        queue: QueueName::new(&name).ok(),
        max_reservations: json::count(setting.max_reservations.map(RawValue::get)),
    })
}

#[derive(Deserialize)]
struct QueueList<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    queues: Option<Option<Entries<Queue<'a>, { usize::MAX }>>>,
}

/// Omits names that ivy cannot use because they are too long or contain control characters.
fn queues(response: QueueList<'_>) -> Result<QueueReply, BadResponse> {
    let queues = response.queues.ok_or(BadResponse::Missing("queues"))?.unwrap_or_default();
    let names = queues.objects.into_iter();
    let names = names.filter_map(|queue| QueueName::new(&text(queue.name?)?).ok());
    Ok(QueueReply::Queues(names.collect()))
}
