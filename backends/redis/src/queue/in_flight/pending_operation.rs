//! Requests to a server for an operation, and how to decode their replies.

use std::time::Duration;

use ivy_proto::queue::{Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::{MessageId, Moment, QueueName, Receipt};
use redis::Value;

use super::{ImmediateResult, Operations};
use crate::connection::DEFAULT_LIMITS;
use crate::frame::Limits;
use crate::queue::command::Command;
use crate::queue::decode::{Decoder, SearchStep, unexpected_reply};
use crate::queue::element::ID_LENGTH;
use crate::queue::encode::{self, HeldMessage, Post, Search};
use crate::queue::keys::{Keys, Prefix};
use crate::queue::receipt::Reservation;

/// How long, beyond the lease, a touch without a reply is remembered: its request may have been in
/// flight for that long.
const TOUCH_MARGIN: Duration = Duration::from_secs(60);

/// The data needed to decode the replies.
#[derive(Debug)]
pub(super) enum PendingOperation {
    Post {
        queue: QueueName,
        entries: Vec<Result<MessageId, Fault>>,
        /// How many messages have no delay, if no other has one.
        pushed: Option<u64>,
        /// Whether the queue is listed by the same request.
        is_listed: bool,
    },
    Delete(Vec<Option<HeldMessage>>),
    Touch {
        message: MessageId,
        reservation: Reservation,
        /// Whether no earlier touch of it is without a reply.
        is_first: bool,
    },
    Release,
    Peek,
    Search(Keys, Search),
    Clear,
    Queue {
        name: QueueName,
        is_created: bool,
    },
    DeleteQueue,
    QueueNames(NamesPage),
}

/// A page of the names of queues. What other programs have listed is skipped.
#[derive(Debug)]
pub(super) struct NamesPage {
    begin: String,
    after: Option<QueueName>,
    count: usize,
    names: Vec<QueueName>,
    /// How many elements were looked at.
    offset: usize,
}

impl NamesPage {
    /// How many elements that are no names are skipped.
    const MAX_SKIPPED: usize = 10_000;

    pub(super) fn command(&self, prefix: &Prefix) -> Command {
        let NamesPage { begin, after, count, offset, .. } = self;
        encode::queue_names(prefix, begin, after.as_ref(), (*offset, *count))
    }

    /// Adds the names of a reply. Returns the page if it is complete, else how it continues.
    pub(super) fn add(
        mut self,
        (names, elements): (Vec<QueueName>, usize),
        prefix: &Prefix,
    ) -> Result<Result<QueueReply, NamesPage>, Fault> {
        self.names.extend(names);
        self.offset += elements;
        if elements < self.count || self.names.len() >= self.count {
            self.names.truncate(self.count);
            return Ok(Ok(QueueReply::Queues(self.names)));
        }
        if self.offset - self.names.len() > Self::MAX_SKIPPED {
            let key = prefix.queues();
            let detail = format!(
                "the key {key} contains more than {} elements that are no names of queues; find out which \
                 program writes to it, and remove them with ZREM",
                Self::MAX_SKIPPED
            );
            return Err(Fault::new(FaultKind::Refused).with_detail(detail));
        }
        Ok(Err(self))
    }
}

impl PendingOperation {
    /// The limits of each reply.
    pub(super) fn limits(&self) -> Limits {
        match self {
            PendingOperation::Peek | PendingOperation::Search(..) => encode::MESSAGE_LIMITS,
            PendingOperation::QueueNames(_) => encode::NAMES_LIMITS,
            _ => DEFAULT_LIMITS,
        }
    }
}

impl Operations {
    /// The commands of an operation other than a reserve, or its immediate result.
    pub(super) fn begin(
        &mut self,
        op: QueueOp,
        now: Moment,
    ) -> Result<(PendingOperation, Vec<Command>), ImmediateResult> {
        let keys = |queue: &QueueName| self.prefix.keys(queue);
        Ok(match op {
            QueueOp::Post { queue, messages } => {
                let unix_millis = self.wall.unix_millis(now);
                let next_id = || self.ids.message_id(unix_millis);
                let Post { entries, pushed, command } =
                    encode::post(&keys(&queue), &messages, next_id);
                let Some(command) = command else {
                    return Err(Box::new(Ok(QueueReply::Posted(entries))));
                };
                let list = self.maintenance.list(&self.prefix, &queue, now);
                let is_listed = list.is_some();
                let commands = list.into_iter().chain([command]).collect();
                (PendingOperation::Post { queue, entries, pushed, is_listed }, commands)
            }
            QueueOp::Delete { queue, receipt } => {
                return self.begin_delete(&queue, std::slice::from_ref(&receipt));
            }
            QueueOp::DeleteMany { queue, receipts } => {
                return self.begin_delete(&queue, receipts.items());
            }
            QueueOp::Touch { queue, receipt, lease } => {
                let reservation = reservation_of(&receipt)?;
                let command = encode::touch(&keys(&queue), &reservation, lease);
                let is_first = self.touches.sent(&reservation, now + lease + TOUCH_MARGIN, now);
                let message = receipt.message;
                (PendingOperation::Touch { message, reservation, is_first }, vec![command])
            }
            QueueOp::Release { queue, receipt, delay, failed } => {
                let message = self.touches.held_message(reservation_of(&receipt)?);
                let command = encode::release(&keys(&queue), &message, delay, failed);
                (PendingOperation::Release, vec![command])
            }
            QueueOp::Peek { queue, count } => {
                (PendingOperation::Peek, vec![encode::peek(&keys(&queue), count)])
            }
            // The script finds the beginning of an id as well.
            QueueOp::Get { message, .. } if message.as_str().len() != ID_LENGTH => {
                return Err(Box::new(Err(Fault::new(FaultKind::NoMessage))));
            }
            QueueOp::Get { queue, message } => {
                let (keys, search) = (keys(&queue), Search::new(message));
                let command = search.command(&keys);
                (PendingOperation::Search(keys, search), vec![command])
            }
            QueueOp::Clear { queue } => {
                (PendingOperation::Clear, vec![encode::clear(&keys(&queue))])
            }
            QueueOp::GetQueue { queue } => {
                let sizes = encode::sizes(&self.prefix, &queue, &keys(&queue));
                (PendingOperation::Queue { name: queue, is_created: false }, sizes.into())
            }
            QueueOp::CreateQueue { queue } => {
                let sizes = encode::sizes(&self.prefix, &queue, &keys(&queue));
                let list = encode::list(&self.prefix, &queue);
                let commands = [list].into_iter().chain(sizes).collect();
                (PendingOperation::Queue { name: queue, is_created: true }, commands)
            }
            op @ QueueOp::UpdateQueue { .. } => {
                let fault = Fault::unsupported(&op, "a queue on Redis has no settings");
                return Err(Box::new(Err(fault)));
            }
            QueueOp::DeleteQueue { queue } => {
                self.maintenance.unlisted(&queue);
                let unlist = encode::unlist(&self.prefix, &queue);
                (PendingOperation::DeleteQueue, vec![encode::clear(&keys(&queue)), unlist])
            }
            QueueOp::ListQueues { prefix, after, count } => {
                let page = NamesPage { begin: prefix, after, count, names: Vec::new(), offset: 0 };
                let command = page.command(&self.prefix);
                (PendingOperation::QueueNames(page), vec![command])
            }
            QueueOp::Reserve { .. } => return Err(Box::new(Err(unexpected_reply()))),
        })
    }

    fn begin_delete(
        &self,
        queue: &QueueName,
        receipts: &[Receipt],
    ) -> Result<(PendingOperation, Vec<Command>), ImmediateResult> {
        let reservations = encode::reservations(receipts).into_iter();
        let held_message = |reservation: Reservation| self.touches.held_message(reservation);
        let messages: Vec<Option<HeldMessage>> =
            reservations.map(|reservation| reservation.map(held_message)).collect();
        let held: Vec<&HeldMessage> = messages.iter().flatten().collect();
        if held.is_empty() {
            let entries = messages.iter().map(|_| Err(Fault::new(FaultKind::LeaseLost)));
            return Err(Box::new(Ok(QueueReply::Deleted(entries.collect()))));
        }
        let commands = encode::delete(&self.prefix.keys(queue), &held);
        Ok((PendingOperation::Delete(messages), commands))
    }

    /// Handles that an operation was cancelled before it was sent, or could not be sent.
    pub(super) fn on_not_sent(&mut self, operation: &PendingOperation) {
        // An earlier touch may still have been executed.
        if let PendingOperation::Touch { reservation, is_first: true, .. } = operation {
            self.touches.replied(reservation);
        }
    }

    /// Decodes the replies to an operation.
    pub(super) fn decode(
        &mut self,
        operation: PendingOperation,
        mut replies: Vec<Value>,
        decoder: &Decoder<'_>,
        now: Moment,
    ) -> Result<QueueReply, Fault> {
        match operation {
            PendingOperation::Post { queue, entries, pushed, is_listed } => {
                let size = decoder.post(replies.pop().ok_or_else(unexpected_reply)?)?;
                // With delays, it is not known whether the queue was empty.
                if !is_listed && pushed.is_none_or(|pushed| size <= pushed) {
                    self.maintenance.may_be_unlisted(&queue, now);
                }
                Ok(QueueReply::Posted(entries))
            }
            PendingOperation::Delete(messages) => decoder.delete(&messages, replies),
            PendingOperation::Touch { message, reservation, .. } => {
                let result = decoder.touch(message, &reservation, single_reply(replies));
                let is_known = match &result {
                    Ok(_) => true,
                    Err(fault) => fault.kind() == FaultKind::LeaseLost,
                };
                if is_known {
                    self.touches.replied(&reservation);
                }
                result
            }
            PendingOperation::Release => decoder.release(single_reply(replies)),
            PendingOperation::Peek => decoder.peek(single_reply(replies)),
            PendingOperation::Search(_, search) => {
                match decoder.search(&search, single_reply(replies))? {
                    SearchStep::Found(reply) => Ok(reply),
                    SearchStep::Continue(_) => Err(Fault::new(FaultKind::NoMessage)),
                }
            }
            PendingOperation::Clear => decoder.clear(single_reply(replies)),
            PendingOperation::Queue { name, is_created } => {
                if is_created && !replies.is_empty() {
                    decoder.accepted(replies.remove(0))?;
                }
                decoder.queue(name, replies)
            }
            PendingOperation::DeleteQueue => decoder.delete_queue(replies),
            PendingOperation::QueueNames(page) => {
                let page = page.add(decoder.queue_names(single_reply(replies))?, &self.prefix)?;
                page.map_err(|_| unexpected_reply())
            }
        }
    }
}

/// The reply to the only command.
pub(super) fn single_reply(mut replies: Vec<Value>) -> Value {
    replies.pop().unwrap_or(Value::Nil)
}

/// The reservation of a receipt. One that Redis did not issue is invalid.
fn reservation_of(receipt: &Receipt) -> Result<Reservation, ImmediateResult> {
    let lost = || Box::new(Err(Fault::new(FaultKind::LeaseLost)));
    Reservation::parse(&receipt.reservation).ok_or_else(lost)
}
