//! Requests to a server for an operation, and how to decode their replies.

use std::time::Duration;

use ivy_proto::queue::{Fault, FaultKind, QueueOp, QueueReply};
use ivy_proto::{MessageId, Moment, QueueName, Receipt};
use redis::Value;

use super::{AtOnce, Operations};
use crate::connection::USUAL;
use crate::frame::Limits;
use crate::queue::command::Command;
use crate::queue::decode::{Decoder, odd};
use crate::queue::encode::{self, Holder, Post, Search};
use crate::queue::keys::Keys;
use crate::queue::receipt::Reservation;

/// How long, beyond the lease, a touch without a reply is remembered: its request may have been in
/// flight for that long.
const TOUCH_MARGIN: Duration = Duration::from_secs(60);

/// The data needed to decode the replies.
#[derive(Debug)]
pub(super) enum Asked {
    Post(Vec<Result<MessageId, Fault>>),
    Delete(Vec<Option<Holder>>),
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
    Names,
}

impl Asked {
    /// The limits of each reply.
    pub(super) fn limits(&self) -> Limits {
        match self {
            Asked::Peek | Asked::Search(..) => encode::MESSAGES,
            _ => USUAL,
        }
    }
}

impl Operations {
    /// The commands of an operation other than a reserve, or its immediate result.
    pub(super) fn ask(
        &mut self,
        op: QueueOp,
        now: Moment,
    ) -> Result<(Asked, Vec<Command>), AtOnce> {
        let keys = |queue: &QueueName| self.prefix.keys(queue);
        Ok(match op {
            QueueOp::Post { queue, messages } => {
                let unix_millis = self.wall.unix_millis(now);
                let next_id = || self.names.message(unix_millis);
                let Post { entries, command } = encode::post(&keys(&queue), &messages, next_id);
                let Some(command) = command else {
                    return Err(Box::new(Ok(QueueReply::Posted(entries))));
                };
                let list = self.upkeep.list(&self.prefix, &queue, now);
                (Asked::Post(entries), list.into_iter().chain([command]).collect())
            }
            QueueOp::Delete { queue, receipt } => {
                return self.ask_to_delete(&queue, std::slice::from_ref(&receipt));
            }
            QueueOp::DeleteMany { queue, receipts } => {
                return self.ask_to_delete(&queue, receipts.items());
            }
            QueueOp::Touch { queue, receipt, lease } => {
                let reservation = held_by(&receipt)?;
                let command = encode::touch(&keys(&queue), &reservation, lease);
                let is_first = self.touches.sent(&reservation, now + lease + TOUCH_MARGIN, now);
                let message = receipt.message;
                (Asked::Touch { message, reservation, is_first }, vec![command])
            }
            QueueOp::Release { queue, receipt, delay, failed } => {
                let holder = self.touches.holder(held_by(&receipt)?);
                let command = encode::release(&keys(&queue), &holder, delay, failed);
                (Asked::Release, vec![command])
            }
            QueueOp::Peek { queue, count } => {
                (Asked::Peek, vec![encode::peek(&keys(&queue), count)])
            }
            QueueOp::Get { queue, message } => {
                let (keys, search) = (keys(&queue), Search::new(message));
                let command = search.command(&keys);
                (Asked::Search(keys, search), vec![command])
            }
            QueueOp::Clear { queue } => (Asked::Clear, vec![encode::clear(&keys(&queue))]),
            QueueOp::GetQueue { queue } => {
                let sizes = encode::sizes(&self.prefix, &queue, &keys(&queue));
                (Asked::Queue { name: queue, is_created: false }, sizes.into())
            }
            QueueOp::CreateQueue { queue } => {
                let sizes = encode::sizes(&self.prefix, &queue, &keys(&queue));
                let list = encode::list(&self.prefix, &queue);
                let commands = [list].into_iter().chain(sizes).collect();
                (Asked::Queue { name: queue, is_created: true }, commands)
            }
            QueueOp::DeleteQueue { queue } => {
                self.upkeep.unlisted(&queue);
                let unlist = encode::unlist(&self.prefix, &queue);
                (Asked::DeleteQueue, vec![encode::clear(&keys(&queue)), unlist])
            }
            QueueOp::ListQueues { prefix, after, count } => {
                let names = encode::names(&self.prefix, &prefix, after.as_ref(), count);
                (Asked::Names, vec![names])
            }
            QueueOp::Reserve { .. } => return Err(Box::new(Err(odd()))),
        })
    }

    fn ask_to_delete(
        &self,
        queue: &QueueName,
        receipts: &[Receipt],
    ) -> Result<(Asked, Vec<Command>), AtOnce> {
        let reservations = encode::reservations(receipts).into_iter();
        let holder = |reservation: Reservation| self.touches.holder(reservation);
        let asked: Vec<Option<Holder>> =
            reservations.map(|reservation| reservation.map(holder)).collect();
        let held: Vec<&Holder> = asked.iter().flatten().collect();
        if held.is_empty() {
            let entries = asked.iter().map(|_| Err(Fault::new(FaultKind::LeaseLost)));
            return Err(Box::new(Ok(QueueReply::Deleted(entries.collect()))));
        }
        let commands = encode::delete(&self.prefix.keys(queue), &held);
        Ok((Asked::Delete(asked), commands))
    }

    /// Handles that an operation was cancelled before it was sent, or could not be sent.
    pub(super) fn was_not_sent(&mut self, asked: &Asked) {
        // An earlier touch may still have been executed.
        if let Asked::Touch { reservation, is_first: true, .. } = asked {
            self.touches.answered(reservation);
        }
    }

    /// Decodes the replies to an operation.
    pub(super) fn read(
        &mut self,
        asked: Asked,
        mut answers: Vec<Value>,
        decoder: &Decoder<'_>,
    ) -> Result<QueueReply, Fault> {
        match asked {
            Asked::Post(entries) => {
                decoder.post(answers.pop().ok_or_else(odd)?)?;
                Ok(QueueReply::Posted(entries))
            }
            Asked::Delete(asked) => decoder.delete(&asked, answers),
            Asked::Touch { message, reservation, .. } => {
                let answer = decoder.touch(message, &reservation, only(answers));
                let is_known = match &answer {
                    Ok(_) => true,
                    Err(fault) => fault.kind() == FaultKind::LeaseLost,
                };
                if is_known {
                    self.touches.answered(&reservation);
                }
                answer
            }
            Asked::Release => decoder.release(only(answers)),
            Asked::Peek => decoder.peek(only(answers)),
            Asked::Search(_, search) => {
                let found = decoder.search(&search, only(answers))?;
                found.map_err(|_| Fault::new(FaultKind::NoMessage))
            }
            Asked::Clear => decoder.clear(only(answers)),
            Asked::Queue { name, is_created } => {
                if is_created && !answers.is_empty() {
                    decoder.accepted(answers.remove(0))?;
                }
                decoder.queue(name, answers)
            }
            Asked::DeleteQueue => decoder.delete_queue(answers),
            Asked::Names => decoder.names(only(answers)),
        }
    }
}

/// The reply to the only command.
pub(super) fn only(mut answers: Vec<Value>) -> Value {
    answers.pop().unwrap_or(Value::Nil)
}

/// The reservation of a receipt. One that Redis did not issue is invalid.
fn held_by(receipt: &Receipt) -> Result<Reservation, AtOnce> {
    let lost = || Box::new(Err(Fault::new(FaultKind::LeaseLost)));
    Reservation::parse(&receipt.reservation).ok_or_else(lost)
}
