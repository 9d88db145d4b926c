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
use super::receipt::{Reservation, Unique};
use super::refusal::refusal;
use crate::address::RedisAddress;

/// The most elements that are searched for an id.
const MOST_SEARCHED: u64 = 10_000;

/// The result of a reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Brought {
    /// These messages.
    Messages {
        reserved: Reserved,
        /// Reservations of elements that are not messages, or are too large for one.
        invalid: Vec<Reservation>,
    },
    /// Nothing. A message is due, or a lease ends, after this time, as far as the queue knows.
    Nothing(Option<Duration>),
}

/// Decodes replies; faults name this server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder<'a> {
    pub(crate) address: &'a RedisAddress,
}

impl Decoder<'_> {
    pub(crate) fn reserve(&self, unique: Unique, answer: Value) -> Result<Brought, Fault> {
        let mut elements = self.texts(answer)?;
        let last = elements.pop().ok_or_else(odd)?;
        if elements.is_empty() {
            let due = if last.is_empty() { None } else { Some(self.number(&last)?) };
            return Ok(Brought::Nothing(due.map(Duration::from_millis)));
        }
        let size = u8::try_from(elements.len()).map_err(|_| odd())?;
        let end = self.number(&last)?;
        let mut reserved = Reserved::default();
        let mut invalid = Vec::new();
        for (reservation, element) in Reservation::all(unique, size, end).zip(&elements) {
            match Element::parse(element) {
                Some(element) => reserved.messages.push(message(&element, &reservation)),
                None => invalid.push(reservation),
            }
        }
        reserved.unusable = invalid.len();
        Ok(Brought::Messages { reserved, invalid })
    }

    /// Decodes the reply to a post: whether everything was posted.
    pub(crate) fn post(&self, answer: Value) -> Result<(), Fault> {
        self.count(answer).map(|_| ())
    }

    /// Decodes the result for each of these receipts; `None` stands for a receipt that Redis did
    /// not issue.
    ///
    /// A missing message was already deleted, unless its lease has ended: then another worker may
    /// have it. The replies contain how many are missing, not which: if one is missing, each
    /// message whose lease has ended counts as lost.
    pub(crate) fn delete(
        &self,
        asked: &[Option<Holder>],
        answers: Vec<Value>,
    ) -> Result<QueueReply, Fault> {
        let mut answers = answers.into_iter();
        let deleted = self.count(answers.next().ok_or_else(odd)?)?;
        let now = self.time(answers.next_back().ok_or_else(odd)?)?;
        for of_leases in answers {
            self.count(of_leases)?;
        }
        let holders = asked.iter().flatten();
        let are_all_deleted = deleted >= holders.count() as u64;
        let entry = |holder: &Option<Holder>| match holder {
            None => Err(lost()),
            Some(_) if are_all_deleted => Ok(()),
            Some(holder) if holder.reservation.end() < now => Err(lost()),
            Some(_) if asked.len() == 1 => Err(Fault::new(FaultKind::NoMessage)),
            Some(_) => Ok(()),
        };
        Ok(QueueReply::Deleted(asked.iter().map(entry).collect()))
    }

    pub(crate) fn touch(
        &self,
        message: MessageId,
        reservation: &Reservation,
        answer: Value,
    ) -> Result<QueueReply, Fault> {
        let end = self.text(answer)?;
        if end.is_empty() {
            return Err(lost());
        }
        let reservation = reservation.touched(self.number(&end)?).id();
        Ok(QueueReply::Touched(Receipt { message, reservation }))
    }

    pub(crate) fn release(&self, answer: Value) -> Result<QueueReply, Fault> {
        match self.count(answer)? {
            0 => Err(lost()),
            _ => Ok(QueueReply::Released),
        }
    }

    pub(crate) fn peek(&self, answer: Value) -> Result<QueueReply, Fault> {
        let elements = self.texts(answer)?;
        let messages = elements.iter().filter_map(|element| Element::parse(element));
        Ok(QueueReply::Peeked(messages.map(|element| peeked(&element)).collect()))
    }

    /// Decodes the result of a search, or where it continues.
    pub(crate) fn search(
        &self,
        search: &Search,
        answer: Value,
    ) -> Result<Result<QueueReply, Search>, Fault> {
        let answer = self.texts(answer)?;
        let [element, from, seen] = answer.as_slice() else { return Err(odd()) };
        if let Some(element) = Element::parse(element) {
            return Ok(Ok(QueueReply::Message(peeked(&element))));
        }
        let seen = search.seen.saturating_add(self.number(seen)?);
        if seen > MOST_SEARCHED {
            let fault = Fault::new(FaultKind::Refused);
            return Err(fault.with_detail("there are too many messages to search"));
        }
        let from = String::from_utf8(from.clone()).map_err(|_| odd())?;
        let place = if from == "0" { search.place + 1 } else { search.place };
        if place > Search::LAST_PLACE {
            return Err(Fault::new(FaultKind::NoMessage));
        }
        Ok(Err(Search { place, from, seen, message: search.message.clone() }))
    }

    pub(crate) fn clear(&self, answer: Value) -> Result<QueueReply, Fault> {
        self.count(answer).map(|_| QueueReply::Cleared)
    }

    /// Decodes whether a queue was deleted: its keys, and its entry in the list.
    pub(crate) fn delete_queue(&self, answers: Vec<Value>) -> Result<QueueReply, Fault> {
        let mut was_there = false;
        for answer in answers {
            was_there |= self.count(answer)? > 0;
        }
        if was_there { Ok(QueueReply::QueueDeleted) } else { Err(Fault::new(FaultKind::NoQueue)) }
    }

    pub(crate) fn queue(&self, name: QueueName, answers: Vec<Value>) -> Result<QueueReply, Fault> {
        let answers: Result<[Value; 6], _> = answers.try_into();
        let [listed, ready, nudge, sizes @ ..] = answers.map_err(|_| odd())?;
        let is_listed = self.valued(listed)?.is_some();
        let is_nudge = self.valued(nudge)?.is_some();
        let mut size = self.count(ready)?.saturating_sub(is_nudge.into());
        for answer in sizes {
            size = size.saturating_add(self.count(answer)?);
        }
        if !is_listed && size == 0 {
            return Err(Fault::new(FaultKind::NoQueue));
        }
        let mut info = QueueInfo::new(name);
        info.size = Some(size);
        Ok(QueueReply::Queue(info))
    }

    /// Decodes names of queues. Invalid names, listed by other programs, are omitted.
    pub(crate) fn names(&self, answer: Value) -> Result<QueueReply, Fault> {
        let names = self.texts(answer)?;
        let names = names.iter().filter_map(|name| std::str::from_utf8(name).ok());
        Ok(QueueReply::Queues(names.filter_map(|name| QueueName::new(name).ok()).collect()))
    }

    /// Decodes where a search for orphans continues, if it does, and how many it has put back.
    pub(crate) fn orphans(&self, answer: Value) -> Result<(Option<String>, u64), Fault> {
        let Value::Array(answer) = self.accepted(answer)? else { return Err(odd()) };
        let answer: Result<[Value; 2], _> = answer.try_into();
        let [cursor, count] = answer.map_err(|_| odd())?;
        let cursor = String::from_utf8(self.text(cursor)?).map_err(|_| odd())?;
        Ok((Some(cursor).filter(|cursor| cursor != "0"), self.count(count)?))
    }

    /// The reply, unless it is an error.
    pub(crate) fn accepted(&self, answer: Value) -> Result<Value, Fault> {
        match error_text(&answer) {
            Some(said) => Err(refusal(&said, self.address)),
            None => Ok(answer),
        }
    }

    fn valued(&self, answer: Value) -> Result<Option<Value>, Fault> {
        Ok(Some(self.accepted(answer)?).filter(|value| *value != Value::Nil))
    }

    fn count(&self, answer: Value) -> Result<u64, Fault> {
        match self.accepted(answer)? {
            Value::Int(count) => u64::try_from(count).map_err(|_| odd()),
            _ => Err(odd()),
        }
    }

    fn text(&self, answer: Value) -> Result<Vec<u8>, Fault> {
        match self.accepted(answer)? {
            Value::BulkString(text) => Ok(text),
            _ => Err(odd()),
        }
    }

    fn texts(&self, answer: Value) -> Result<Vec<Vec<u8>>, Fault> {
        match self.accepted(answer)? {
            Value::Array(values) => values.into_iter().map(|value| self.text(value)).collect(),
            _ => Err(odd()),
        }
    }

    fn number(&self, text: &[u8]) -> Result<u64, Fault> {
        let text = std::str::from_utf8(text).map_err(|_| odd())?;
        ivy_proto::text::number(text).ok_or_else(odd)
    }

    /// Decodes the server's clock, in ms.
    fn time(&self, answer: Value) -> Result<u64, Fault> {
        let texts = self.texts(answer)?;
        let [seconds, micros] = texts.as_slice() else { return Err(odd()) };
        let (seconds, micros) = (self.number(seconds)?, self.number(micros)?);
        Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000))
    }
}

/// The text of an error reply.
pub(crate) fn error_text(answer: &Value) -> Option<String> {
    let Value::ServerError(error) = answer else { return None };
    let said = format!("{} {}", error.code(), error.details().unwrap_or_default());
    Some(said.trim_end().to_owned())
}

/// The reply does not match the command.
pub(crate) fn odd() -> Fault {
    Fault::new(FaultKind::BadResponse).with_detail("its reply has an unexpected shape")
}

fn lost() -> Fault {
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
