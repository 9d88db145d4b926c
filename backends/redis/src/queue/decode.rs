//! Decodes the replies to the operations of a queue.

use std::time::Duration;

use ivy_proto::queue::{
    Body, DeliveryCount, Fault, FaultKind, PeekedMessage, QueueInfo, QueueReply, ReceivedBody,
    Reserved, ReservedMessage,
};
use ivy_proto::{MessageId, QueueName, Receipt};
use redis::Value;

use super::element::{Counts, Element};
use super::encode::{Holder, Search};
use super::fault::fault_of_error;
use super::receipt::{Reservation, ReserveId};
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

/// The messages of a reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Messages {
    pub(crate) reserved: Reserved,
    /// Reservations of elements that are not messages, or are too large for one.
    pub(crate) invalid: Vec<Reservation>,
    /// When the next message is due. `None` if further messages may be ready.
    pub(crate) due: Option<NextDue>,
}

/// After which time a delayed message is due or a lease ends, as far as the queue knows; `None` if
/// it knows of neither.
pub(crate) type NextDue = Option<Duration>;

/// Decodes replies; faults name this server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder<'a> {
    pub(crate) address: &'a RedisAddress,
}

impl Decoder<'_> {
    pub(crate) fn reserve(
        &self,
        reserve_id: ReserveId,
        reply: Value,
    ) -> Result<ReserveReply, Fault> {
        let mut elements = self.texts(reply)?;
        let due = elements.pop().ok_or_else(unexpected_reply)?;
        let Some(end) = elements.pop() else { return Ok(ReserveReply::Nothing(self.due(&due)?)) };
        let due = if due == b"more" { None } else { Some(self.due(&due)?) };
        let size = u8::try_from(elements.len()).map_err(|_| unexpected_reply())?;
        let end = self.number(&end)?;
        let mut reserved = Reserved::default();
        let mut invalid = Vec::new();
        for (reservation, element) in Reservation::all(reserve_id, size, end).zip(&elements) {
            match Element::parse(element) {
                Some(element) => reserved.messages.push(message(&element, &reservation)),
                None => invalid.push(reservation),
            }
        }
        reserved.unusable = invalid.len();
        Ok(ReserveReply::Messages(Messages { reserved, invalid, due }))
    }

    fn due(&self, text: &[u8]) -> Result<NextDue, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(Duration::from_millis(self.number(text)?)))
    }

    /// Decodes the reply to a post: whether everything was posted.
    pub(crate) fn post(&self, reply: Value) -> Result<(), Fault> {
        self.count(reply).map(|_| ())
    }

    /// Decodes the result for each of these receipts; `None` stands for a receipt that Redis did
    /// not issue.
    ///
    /// A missing message was already deleted, unless its lease has ended: then another worker may
    /// have it. The replies contain how many are missing, not which: if one is missing, each
    /// message whose lease has ended counts as lost.
    pub(crate) fn delete(
        &self,
        receipts: &[Option<Holder>],
        replies: Vec<Value>,
    ) -> Result<QueueReply, Fault> {
        let mut replies = replies.into_iter();
        let deleted = self.count(replies.next().ok_or_else(unexpected_reply)?)?;
        let now = self.time(replies.next_back().ok_or_else(unexpected_reply)?)?;
        for of_leases in replies {
            self.count(of_leases)?;
        }
        let holders = receipts.iter().flatten();
        let all_were_deleted = deleted >= holders.count() as u64;
        let entry = |holder: &Option<Holder>| match holder {
            None => Err(lease_lost()),
            Some(_) if all_were_deleted => Ok(()),
            Some(holder) if holder.reservation.end() < now => Err(lease_lost()),
            Some(_) if receipts.len() == 1 => Err(Fault::new(FaultKind::NoMessage)),
            Some(_) => Ok(()),
        };
        Ok(QueueReply::Deleted(receipts.iter().map(entry).collect()))
    }

    pub(crate) fn touch(
        &self,
        message: MessageId,
        reservation: &Reservation,
        reply: Value,
    ) -> Result<QueueReply, Fault> {
        let end = self.text(reply)?;
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
        let elements = self.texts(reply)?;
        let messages = elements.iter().filter_map(|element| Element::parse(element));
        Ok(QueueReply::Peeked(messages.map(|element| peeked(&element)).collect()))
    }

    /// Decodes the result of a search, or where it continues.
    pub(crate) fn search(
        &self,
        search: &Search,
        reply: Value,
    ) -> Result<Result<QueueReply, Search>, Fault> {
        let reply = self.texts(reply)?;
        let [element, from, searched] = reply.as_slice() else { return Err(unexpected_reply()) };
        if let Some(element) = Element::parse(element) {
            return Ok(Ok(QueueReply::Message(peeked(&element))));
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
        Ok(Err(Search { key_number, from, searched, message: search.message.clone() }))
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
        let replies: Result<[Value; 6], _> = replies.try_into();
        let [listed, ready, nudge, sizes @ ..] = replies.map_err(|_| unexpected_reply())?;
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
        Ok(QueueReply::Queue(info))
    }

    /// Decodes names of queues. Invalid names, listed by other programs, are omitted.
    pub(crate) fn queue_names(&self, reply: Value) -> Result<QueueReply, Fault> {
        let names = self.texts(reply)?;
        let names = names.iter().filter_map(|name| std::str::from_utf8(name).ok());
        Ok(QueueReply::Queues(names.filter_map(|name| QueueName::new(name).ok()).collect()))
    }

    /// Decodes where a search for orphans continues, if it does, and how many it has put back.
    pub(crate) fn orphans(&self, reply: Value) -> Result<(Option<String>, u64), Fault> {
        let Value::Array(reply) = self.accepted(reply)? else { return Err(unexpected_reply()) };
        let reply: Result<[Value; 2], _> = reply.try_into();
        let [cursor, count] = reply.map_err(|_| unexpected_reply())?;
        let cursor = String::from_utf8(self.text(cursor)?).map_err(|_| unexpected_reply())?;
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

    fn text(&self, reply: Value) -> Result<Vec<u8>, Fault> {
        match self.accepted(reply)? {
            Value::BulkString(text) => Ok(text),
            _ => Err(unexpected_reply()),
        }
    }

    fn texts(&self, reply: Value) -> Result<Vec<Vec<u8>>, Fault> {
        match self.accepted(reply)? {
            Value::Array(values) => values.into_iter().map(|value| self.text(value)).collect(),
            _ => Err(unexpected_reply()),
        }
    }

    fn number(&self, text: &[u8]) -> Result<u64, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| unexpected_reply())?;
        ivy_proto::text::number(text).ok_or_else(unexpected_reply)
    }

    /// Decodes the server's clock, in ms.
    fn time(&self, reply: Value) -> Result<u64, Fault> {
        let texts = self.texts(reply)?;
        let [seconds, micros] = texts.as_slice() else { return Err(unexpected_reply()) };
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
    Fault::new(FaultKind::BadResponse).with_detail("its reply has an unexpected shape")
}

fn lease_lost() -> Fault {
    Fault::new(FaultKind::LeaseLost)
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

fn body(element: &Element<'_>) -> ReceivedBody {
    match std::str::from_utf8(element.body) {
        Ok(text) => ReceivedBody::Text(Body::new(text)),
        Err(_) => ReceivedBody::NotText(Body::new(String::from_utf8_lossy(element.body))),
    }
}
