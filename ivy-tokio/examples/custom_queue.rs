//! A custom queue: tasks over lists in memory instead of a queue server.
//!
//! Everything below `main` is what ivy needs of a queue. This one completes each operation
//! immediately; a client of a server would send a request in [`Queue::execute`] and return its
//! response.

#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ivy_proto::backend::{BoxFuture, Queue};
use ivy_proto::queue::{
    Body, Capabilities, DeliveryCount, Fault, FaultKind, PeekedMessage, QueueInfo, QueueOp,
    QueueReply, ReceivedBody, Reserved, ReservedMessage,
};
use ivy_proto::{MessageId, QueueName, Receipt, ReservationId};
use ivy_tokio::{Ivy, Task, TaskError};
use tokio::time::Instant;

const DOUBLE: Task<(u64,), u64> = Task::new("own.double").queue("own");

#[tokio::main]
async fn main() -> ivy_tokio::Result<()> {
    let ivy = Ivy::builder().queue(ListQueue::default()).notifier_url("memory://").build()?;
    let double = |n: u64| async move { Ok::<_, TaskError>(2 * n) };
    let worker = ivy.worker().register(&DOUBLE, double).start().await?;

    let handle = ivy.call(&DOUBLE, (21,)).await?;
    println!("2 * 21 = {}", handle.result(Duration::from_secs(5)).await?);

    worker.drain(Duration::from_secs(5)).await;
    Ok(())
}

/// A list of messages per queue. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct ListQueue(Arc<Mutex<Lists>>);

#[derive(Debug, Default)]
struct Lists {
    queues: BTreeMap<QueueName, VecDeque<Entry>>,
    /// Message ids and reservation ids are numbers that are never reused.
    last_number: u64,
}

#[derive(Debug)]
struct Entry {
    id: MessageId,
    body: Body,
    /// Reserved or delayed until then, ready afterwards.
    ready_at: Instant,
    reservation: Option<ReservationId>,
    /// The number of failed attempts and ended leases.
    failed: u32,
    lost: u32,
}

impl Queue for ListQueue {
    fn capabilities(&self) -> Capabilities {
        Capabilities::broker().without_long_poll()
    }

    fn execute(&self, op: QueueOp) -> BoxFuture<Result<QueueReply, Fault>> {
        let lists = Arc::clone(&self.0);
        Box::pin(async move {
            let mut lists = lists.lock().unwrap_or_else(PoisonError::into_inner);
            lists.execute(op, Instant::now())
        })
    }
}

impl Lists {
    fn execute(&mut self, op: QueueOp, now: Instant) -> Result<QueueReply, Fault> {
        Ok(match op {
            QueueOp::Post { queue, messages } => QueueReply::Posted(
                messages
                    .into_items()
                    .into_iter()
                    .map(|message| {
                        let id = MessageId::new(self.number());
                        let ready_at = now + message.delay;
                        let entry = Entry {
                            id: id.clone(),
                            body: message.body,
                            ready_at,
                            reservation: None,
                            failed: 0,
                            lost: 0,
                        };
                        self.queues.entry(queue.clone()).or_default().push_back(entry);
                        Ok(id)
                    })
                    .collect(),
            ),
            QueueOp::Reserve { queue, count, lease, wait: _ } => {
                let mut messages = Vec::new();
                let numbers: Vec<_> = (0..count).map(|_| self.number()).collect();
                let ready = self.list(&queue)?.iter_mut().filter(|entry| entry.ready_at <= now);
                for (entry, number) in ready.zip(numbers) {
                    if entry.reservation.is_some() {
                        entry.lost += 1;
                    }
                    messages.push(ReservedMessage {
                        receipt: entry.reserve(number, now + lease),
                        body: ReceivedBody::Text(entry.body.clone()),
                        deliveries: DeliveryCount::Exact { failed: entry.failed, lost: entry.lost },
                    });
                }
                QueueReply::Reserved(Reserved { messages, unusable: 0 })
            }
            QueueOp::Touch { queue, receipt, lease } => {
                let number = self.number();
                let entry = held(self.list(&queue)?, &receipt, now)?;
                QueueReply::Touched(entry.reserve(number, now + lease))
            }
            QueueOp::Release { queue, receipt, delay, failed } => {
                let entry = held(self.list(&queue)?, &receipt, now)?;
                entry.failed += u32::from(failed);
                (entry.ready_at, entry.reservation) = (now + delay, None);
                QueueReply::Released
            }
            QueueOp::Delete { queue, receipt } => self.delete(&queue, &[receipt], now)?,
            QueueOp::DeleteMany { queue, receipts } => {
                self.delete(&queue, receipts.items(), now)?
            }
            QueueOp::Peek { queue, count } => {
                let ready = self.list(&queue)?.iter().filter(|entry| entry.ready_at <= now);
                QueueReply::Peeked(ready.take(count).map(Entry::peeked).collect())
            }
            QueueOp::Clear { queue } => {
                self.list(&queue)?.clear();
                QueueReply::Cleared
            }
            QueueOp::GetQueue { queue } => {
                let size = self.list(&queue)?.len() as u64;
                let mut info = QueueInfo::new(queue);
                info.size = Some(size);
                QueueReply::Queue(Box::new(info))
            }
            QueueOp::CreateQueue { queue } => {
                self.queues.entry(queue.clone()).or_default();
                QueueReply::Queue(Box::new(QueueInfo::new(queue)))
            }
            op => return Err(Fault::unsupported(&op, "the lists exist as long as the program")),
        })
    }

    fn delete(
        &mut self,
        queue: &QueueName,
        receipts: &[Receipt],
        now: Instant,
    ) -> Result<QueueReply, Fault> {
        let list = self.list(queue)?;
        let delete = |receipt: &Receipt| {
            held(list, receipt, now)?;
            list.retain(|entry| entry.id != receipt.message);
            Ok(())
        };
        Ok(QueueReply::Deleted(receipts.iter().map(delete).collect()))
    }

    fn list(&mut self, queue: &QueueName) -> Result<&mut VecDeque<Entry>, Fault> {
        self.queues.get_mut(queue).ok_or_else(|| Fault::new(FaultKind::NoQueue))
    }

    fn number(&mut self) -> String {
        self.last_number += 1;
        self.last_number.to_string()
    }
}

impl Entry {
    fn reserve(&mut self, number: String, until: Instant) -> Receipt {
        let reservation = ReservationId::new(number);
        (self.ready_at, self.reservation) = (until, Some(reservation.clone()));
        Receipt { message: self.id.clone(), reservation }
    }

    fn peeked(&self) -> PeekedMessage {
        let body = ReceivedBody::Text(self.body.clone());
        PeekedMessage { id: self.id.clone(), body, reserved_count: None }
    }
}

/// The entry whose reservation this receipt is, if it is still reserved.
fn held<'a>(
    list: &'a mut VecDeque<Entry>,
    receipt: &Receipt,
    now: Instant,
) -> Result<&'a mut Entry, Fault> {
    let entry = list.iter_mut().find(|entry| entry.id == receipt.message);
    let entry = entry.ok_or_else(|| Fault::new(FaultKind::NoMessage))?;
    let is_ours = entry.reservation.as_ref() == Some(&receipt.reservation) && entry.ready_at > now;
    if is_ours { Ok(entry) } else { Err(Fault::new(FaultKind::LeaseLost)) }
}
