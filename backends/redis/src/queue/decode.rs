//! Decodes the replies to the operations of a queue.

use std::time::Duration;

use ivy_proto::queue::{
    Body, DeliveryCount, Fault, FaultKind, PeekedMessage, QueueInfo, QueueReply, ReceivedBody,
    Reserved, ReservedMessage,
};
use ivy_proto::{MessageId, QueueName, Receipt};
use redis::Value;

use super::MAX_BODY;
use super::element::{self, Counts, Element};
use super::encode::{HeldMessage, Search};
use super::fault::fault_of_error;
use super::next_due::NextDue;
use super::receipt::{Reservation, ReserveId};
use super::unusable::Unusable;
use crate::address::RedisAddress;

/// The maximum number of elements that are searched for an id.
const MAX_SEARCHED: u64 = 10_000;

/// The result of a reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReserveReply {
    Messages(Messages),
    /// No message. When the next one is due.
    Nothing(NextDue),
}

/// How a search goes on after a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SearchStep {
    Found(QueueReply),
    /// The next request.
    Continue(Search),
}

/// The messages of a reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Messages {
    pub(crate) reserved: Reserved,
    /// The reservations of elements that no worker can handle.
    pub(crate) unusable: Vec<(Reservation, Unusable)>,
    /// When the next message is due. `None` if further messages may be ready.
    pub(crate) due: Option<NextDue>,
}

/// Decodes replies; faults name this server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder<'a> {
    pub(crate) address: &'a RedisAddress,
}

impl Decoder<'_> {
    /// Decodes the messages of a reserve from this queue.
    pub(crate) fn reserve(
        &self,
        queue: &QueueName,
        reserve_id: ReserveId,
        reply: Value,
    ) -> Result<ReserveReply, Fault> {
        let mut elements = self.byte_strings(reply)?;
        let due = elements.pop().ok_or_else(unexpected_reply)?;
        let Some(end) = elements.pop() else { return Ok(ReserveReply::Nothing(self.due(&due)?)) };
        // The messages are reserved, whatever is known about the next one.
        let due = if due == b"more" { None } else { self.due(&due).ok() };
        let size = u8::try_from(elements.len()).map_err(|_| unexpected_reply())?;
        let end = self.number(&end)?;
        let mut reserved = Reserved::default();
        let mut unusable = Vec::new();
        let is_dead_letter_queue = queue.of_dead_letters().is_some();
        for (reservation, element) in Reservation::all(reserve_id, size, end).zip(&elements) {
            match message_in(element, &reservation, is_dead_letter_queue) {
                Ok(message) => reserved.messages.push(message),
                Err(why) => unusable.push((reservation, why)),
            }
        }
        reserved.unusable = unusable.len();
        Ok(ReserveReply::Messages(Messages { reserved, unusable, due }))
    }

    fn due(&self, text: &[u8]) -> Result<NextDue, Fault> {
        if text.is_empty() {
            return Ok(NextDue::Unknown);
        }
        Ok(NextDue::In(Duration::from_millis(self.number(text)?)))
    }

    /// Decodes the reply to a post: everything was posted. Without delays, the reply is the length of
    /// the list.
    pub(crate) fn post(&self, reply: Value) -> Result<u64, Fault> {
        self.count(reply)
    }

    /// Decodes the result for each of these receipts; `None` stands for a receipt that Redis did
    /// not issue.
    ///
    /// A missing message was already deleted, unless its lease has ended: then another worker may
    /// have it. Of messages with a single possible reservation, the replies contain how many are missing, not
    /// which: if one is missing, each of them whose lease has ended counts as lost. If all are
    /// missing, each of them is reported.
    pub(crate) fn delete(
        &self,
        receipts: &[Option<HeldMessage>],
        replies: Vec<Value>,
    ) -> Result<QueueReply, Fault> {
        let mut replies = replies.into_iter();
        let now = self.time(replies.next_back().ok_or_else(unexpected_reply)?)?;
        let mut counts = replies.map(|reply| self.count(reply));
        let mut next_count = || counts.next().ok_or_else(unexpected_reply)?;
        let with_single =
            receipts.iter().flatten().filter(|held| held.possible_next.is_none()).count() as u64;
        let deleted = if with_single == 0 { 0 } else { next_count()? };
        let all_were_deleted = deleted >= with_single;
        let none_was_deleted = deleted == 0;
        let mut entries = Vec::with_capacity(receipts.len());
        for held in receipts {
            let was_deleted = match held {
                Some(held) if held.possible_next.is_some() => next_count()? > 0,
                _ => all_were_deleted,
            };
            entries.push(match held {
                None => Err(lease_lost()),
                Some(_) if was_deleted => Ok(()),
                Some(held) if held.reservation.end() < now => Err(lease_lost()),
                Some(held) if held.possible_next.is_some() || none_was_deleted => {
                    Err(Fault::new(FaultKind::NoMessage))
                }
                Some(_) => Ok(()),
            });
        }
        // Errors of the commands about leases.
        for count in counts {
            count?;
        }
        Ok(QueueReply::Deleted(entries))
    }

    pub(crate) fn touch(
        &self,
        message: MessageId,
        reservation: &Reservation,
        reply: Value,
    ) -> Result<QueueReply, Fault> {
        let end = self.bytes(reply)?;
        if end.is_empty() {
            return Err(lease_lost());
        }
        let reservation = reservation.touched(self.number(&end)?).id();
        Ok(QueueReply::Touched(Receipt { message, reservation }))
    }

    pub(crate) fn release(&self, reply: Value) -> Result<QueueReply, Fault> {
        match self.count(reply)? {
            0 => Err(lease_lost()),
            _ => Ok(QueueReply::Released),
        }
    }

    pub(crate) fn peek(&self, reply: Value) -> Result<QueueReply, Fault> {
        let elements = self.byte_strings(reply)?;
        let shown = |element: &Vec<u8>| match Element::parse(element) {
            Some(element) => peeked(&element),
            None => Raw::of(element).peeked(),
        };
        Ok(QueueReply::Peeked(elements.iter().map(shown).collect()))
    }

    /// Decodes the result of a search, or where it continues.
    pub(crate) fn search(&self, search: &Search, reply: Value) -> Result<SearchStep, Fault> {
        let reply = self.byte_strings(reply)?;
        let [element, from, searched] = reply.as_slice() else { return Err(unexpected_reply()) };
        if let Some(element) = Element::parse(element) {
            return Ok(SearchStep::Found(QueueReply::Message(peeked(&element))));
        }
        if search.hash().is_some_and(|hash| element::has_hash(element, hash)) {
            let raw = Raw { id: search.message.as_str().to_owned(), body: element };
            return Ok(SearchStep::Found(QueueReply::Message(raw.peeked())));
        }
        let searched = search.searched.saturating_add(self.number(searched)?);
        if searched > MAX_SEARCHED {
            let fault = Fault::new(FaultKind::Refused);
            return Err(fault.with_detail("there are too many messages to search"));
        }
        let from = String::from_utf8(from.clone()).map_err(|_| unexpected_reply())?;
        let key_number = if from == "0" { search.key_number + 1 } else { search.key_number };
        if key_number > Search::LAST_KEY {
            return Err(Fault::new(FaultKind::NoMessage));
        }
        let message = search.message.clone();
        Ok(SearchStep::Continue(Search { key_number, from, searched, message }))
    }

    pub(crate) fn clear(&self, reply: Value) -> Result<QueueReply, Fault> {
        self.count(reply).map(|_| QueueReply::Cleared)
    }

    /// Decodes whether a queue was deleted: its keys, and its entry in the list.
    pub(crate) fn delete_queue(&self, replies: Vec<Value>) -> Result<QueueReply, Fault> {
        let mut existed = false;
        for reply in replies {
            existed |= self.count(reply)? > 0;
        }
        if existed { Ok(QueueReply::QueueDeleted) } else { Err(Fault::new(FaultKind::NoQueue)) }
    }

    pub(crate) fn queue(&self, name: QueueName, replies: Vec<Value>) -> Result<QueueReply, Fault> {
        let replies: Result<[Value; 7], _> = replies.try_into();
        let [listed, ready, nudge, sizes @ .., time] = replies.map_err(|_| unexpected_reply())?;
        let is_listed = self.non_nil(listed)?.is_some();
        let is_nudge = self.non_nil(nudge)?.is_some();
        let mut size = self.count(ready)?.saturating_sub(is_nudge.into());
        for reply in sizes {
            size = size.saturating_add(self.count(reply)?);
        }
        if !is_listed && size == 0 {
            return Err(Fault::new(FaultKind::NoQueue));
        }
        let mut info = QueueInfo::new(name);
        info.size = Some(size);
        info.server_time = Some(Duration::from_millis(self.time(time)?));
        Ok(QueueReply::Queue(Box::new(info)))
    }

    /// Decodes a page of names of queues, and how many elements it has. Those that are no names,
    /// listed by other programs, are omitted.
    pub(crate) fn queue_names(&self, reply: Value) -> Result<(Vec<QueueName>, usize), Fault> {
        let Value::Array(elements) = self.accepted(reply)? else { return Err(unexpected_reply()) };
        let name = |element: &Value| match element {
            Value::BulkString(name) => QueueName::new(std::str::from_utf8(name).ok()?).ok(),
            _ => None,
        };
        Ok((elements.iter().filter_map(name).collect(), elements.len()))
    }

    /// Decodes where a search for orphans continues, if it does, and how many it has put back.
    pub(crate) fn orphans(&self, reply: Value) -> Result<(Option<String>, u64), Fault> {
        let Value::Array(reply) = self.accepted(reply)? else { return Err(unexpected_reply()) };
        let reply: Result<[Value; 2], _> = reply.try_into();
        let [cursor, count] = reply.map_err(|_| unexpected_reply())?;
        let cursor = String::from_utf8(self.bytes(cursor)?).map_err(|_| unexpected_reply())?;
        Ok((Some(cursor).filter(|cursor| cursor != "0"), self.count(count)?))
    }

    /// The reply, unless it is an error.
    pub(crate) fn accepted(&self, reply: Value) -> Result<Value, Fault> {
        match error_text(&reply) {
            Some(text) => Err(fault_of_error(&text, self.address)),
            None => Ok(reply),
        }
    }

    fn non_nil(&self, reply: Value) -> Result<Option<Value>, Fault> {
        Ok(Some(self.accepted(reply)?).filter(|value| *value != Value::Nil))
    }

    fn count(&self, reply: Value) -> Result<u64, Fault> {
        match self.accepted(reply)? {
            Value::Int(count) => u64::try_from(count).map_err(|_| unexpected_reply()),
            _ => Err(unexpected_reply()),
        }
    }

    fn bytes(&self, reply: Value) -> Result<Vec<u8>, Fault> {
        match self.accepted(reply)? {
            Value::BulkString(bytes) => Ok(bytes),
            _ => Err(unexpected_reply()),
        }
    }

    fn byte_strings(&self, reply: Value) -> Result<Vec<Vec<u8>>, Fault> {
        match self.accepted(reply)? {
            Value::Array(values) => values.into_iter().map(|value| self.bytes(value)).collect(),
            _ => Err(unexpected_reply()),
        }
    }

    fn number(&self, text: &[u8]) -> Result<u64, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| unexpected_reply())?;
        ivy_proto::text::number(text).ok_or_else(unexpected_reply)
    }

    /// Decodes the server's clock, in ms.
    fn time(&self, reply: Value) -> Result<u64, Fault> {
        let parts = self.byte_strings(reply)?;
        let [seconds, micros] = parts.as_slice() else { return Err(unexpected_reply()) };
        let (seconds, micros) = (self.number(seconds)?, self.number(micros)?);
        Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000))
    }
}

/// The text of an error reply.
pub(crate) fn error_text(reply: &Value) -> Option<String> {
    let Value::ServerError(error) = reply else { return None };
    let text = format!("{} {}", error.code(), error.details().unwrap_or_default());
    Some(text.trim_end().to_owned())
}

/// The reply does not match the command.
pub(crate) fn unexpected_reply() -> Fault {
    Fault::new(FaultKind::BadReply).with_detail("its reply has an unexpected shape")
}

fn lease_lost() -> Fault {
    Fault::new(FaultKind::LeaseLost)
}

/// The message in an element, or why a worker cannot handle it.
///
/// In a dead-letter queue, elements are returned as they are, also those whose content is unknown:
/// nothing is moved from it to another queue.
fn message_in(
    element: &[u8],
    reservation: &Reservation,
    is_dead_letter_queue: bool,
) -> Result<ReservedMessage, Unusable> {
    match Element::parse(element) {
        Some(element) => {
            let message = message(&element, reservation);
            let is_large = body_size(&message.body) > MAX_BODY && !is_dead_letter_queue;
            if is_large { Err(Unusable::LargeBody) } else { Ok(message) }
        }
        None if element.is_empty() && is_dead_letter_queue => Ok(too_large(reservation)),
        None if element.is_empty() => Err(Unusable::Unreadable),
        None if is_dead_letter_queue => Ok(message(&Raw::of(element).element(), reservation)),
        None => Err(Unusable::NotAMessage),
    }
}

/// A message whose content is unknown. Its id is valid for this reservation only.
fn too_large(reservation: &Reservation) -> ReservedMessage {
    let reservation = reservation.id();
    ReservedMessage {
        receipt: Receipt { message: MessageId::new(reservation.as_str()), reservation },
        body: ReceivedBody::TooLarge,
        deliveries: DeliveryCount::Exact { failed: 0, lost: 0 },
    }
}

/// An element that is not a message, shown as the body of one.
struct Raw<'a> {
    id: String,
    body: &'a [u8],
}

impl<'a> Raw<'a> {
    fn of(element: &'a [u8]) -> Self {
        Raw { id: element::raw_id(element), body: element }
    }

    fn element(&self) -> Element<'_> {
        Element { id: &self.id, counts: Counts::default(), body: self.body }
    }

    fn peeked(&self) -> PeekedMessage {
        PeekedMessage { reserved_count: None, ..peeked(&self.element()) }
    }
}

fn message(element: &Element<'_>, reservation: &Reservation) -> ReservedMessage {
    let Counts { failed, lost } = element.counts;
    ReservedMessage {
        receipt: Receipt { message: MessageId::new(element.id), reservation: reservation.id() },
        body: body(element),
        deliveries: DeliveryCount::Exact { failed: failed.into(), lost: lost.into() },
    }
}

fn peeked(element: &Element<'_>) -> PeekedMessage {
    let Counts { failed, lost } = element.counts;
    PeekedMessage {
        id: MessageId::new(element.id),
        body: body(element),
        reserved_count: Some(u32::from(failed) + u32::from(lost)),
    }
}

fn body_size(body: &ReceivedBody) -> usize {
    match body {
        ReceivedBody::Text(body) | ReceivedBody::NotText(body) => body.as_bytes().len(),
        ReceivedBody::Missing | ReceivedBody::TooLarge => 0,
    }
}

fn body(element: &Element<'_>) -> ReceivedBody {
    match std::str::from_utf8(element.body) {
        Ok(text) => Body::new(text),
        Err(_) => Body::from_bytes(element.body.to_vec()),
    }
    .into()
}
