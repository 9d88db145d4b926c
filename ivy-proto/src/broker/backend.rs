//! The broker as a queue backend: converts operations to requests, and responses to replies with
//! exact delivery counts.

use crate::id::Receipt;
use crate::queue::{
    DeliveryCount, Fault, FaultKind, PeekedMessage, QueueOp, QueueReply, QueueSettings, Reserved,
    ReservedMessage,
};

use super::request::{Delivery, MessageView, Refusal, Request, Response, Target};

impl From<Receipt> for Target {
    fn from(receipt: Receipt) -> Self {
        Target { message: receipt.message, reservation: Some(receipt.reservation) }
    }
}

impl From<QueueOp> for Request {
    fn from(op: QueueOp) -> Self {
        match op {
            QueueOp::Post { queue, messages } => {
                Request::PostEach { queue, messages: messages.into_items() }
            }
            QueueOp::Reserve { queue, count, lease, wait } => {
                Request::Reserve { queue, count, timeout: Some(lease), wait, delete: false }
            }
            QueueOp::Get { queue, message } => Request::GetMessage { queue, message },
            QueueOp::Peek { queue, count } => Request::Peek { queue, count },
            QueueOp::Delete { queue, receipt } => Request::Delete { queue, target: receipt.into() },
            QueueOp::DeleteMany { queue, receipts } => Request::DeleteEach {
                queue,
                targets: receipts.into_items().into_iter().map(Target::from).collect(),
            },
            QueueOp::Touch { queue, receipt, lease } => {
                Request::Touch { queue, target: receipt.into(), timeout: Some(lease) }
            }
            QueueOp::Release { queue, receipt, delay, failed } => {
                Request::Release { queue, target: receipt.into(), delay, failed }
            }
            QueueOp::Clear { queue } => Request::Clear { queue },
            QueueOp::GetQueue { queue } => Request::GetQueue { queue },
            QueueOp::CreateQueue { queue } => {
                Request::PutQueue { queue, settings: QueueSettings::default() }
            }
            QueueOp::UpdateQueue { queue, settings } => Request::PatchQueue { queue, settings },
            QueueOp::DeleteQueue { queue } => Request::DeleteQueue { queue },
            QueueOp::ListQueues { prefix, after, count } => Request::ListQueues {
                prefix,
                previous: after.map(|name| name.as_str().to_owned()).unwrap_or_default(),
                per_page: count,
            },
        }
    }
}

/// The reply to a request that was converted from a [`QueueOp`].
impl From<Response> for QueueReply {
    fn from(response: Response) -> Self {
        match response {
            Response::Posted(ids) => QueueReply::all_posted(ids),
            Response::PostedEach(entries) => QueueReply::Posted(entries_with_faults(entries)),
            Response::Reserved(deliveries) => QueueReply::Reserved(Reserved {
                messages: deliveries.into_iter().map(ReservedMessage::from).collect(),
                unusable: 0,
            }),
            Response::Message(view) => QueueReply::Message(view.into()),
            Response::Peeked(views) => {
                QueueReply::Peeked(views.into_iter().map(PeekedMessage::from).collect())
            }
            Response::Deleted => QueueReply::all_deleted(1),
            Response::DeletedEach(entries) => QueueReply::Deleted(entries_with_faults(entries)),
            Response::Cleared => QueueReply::Cleared,
            Response::Touched(receipt) => QueueReply::Touched(receipt),
            Response::Released => QueueReply::Released,
            Response::Queue(info) => QueueReply::Queue(Box::new(info)),
            Response::QueueDeleted => QueueReply::QueueDeleted,
            Response::Queues(names) => QueueReply::Queues(names),
        }
    }
}

fn entries_with_faults<T>(entries: Vec<Result<T, Refusal>>) -> Vec<Result<T, Fault>> {
    entries.into_iter().map(|entry| entry.map_err(Fault::from)).collect()
}

impl From<Delivery> for ReservedMessage {
    fn from(delivery: Delivery) -> Self {
        ReservedMessage {
            receipt: Receipt { message: delivery.message, reservation: delivery.reservation },
            body: delivery.body.into(),
            deliveries: DeliveryCount::Exact { failed: delivery.failed, lost: delivery.lost },
        }
    }
}

impl From<MessageView> for PeekedMessage {
    fn from(view: MessageView) -> Self {
        PeekedMessage {
            id: view.message,
            body: view.body.into(),
            reserved_count: Some(view.reserved_count),
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::QueueNotFound => FaultKind::NoQueue,
            Refusal::MessageNotFound => FaultKind::NoMessage,
            Refusal::ReservationTimedOut => FaultKind::LeaseLost,
            Refusal::TooLarge => FaultKind::TooLarge,
            Refusal::ReservationRequired | Refusal::KindIsFixed | Refusal::Invalid(_) => {
                FaultKind::Refused
            }
        };
        Fault::new(kind).with_detail(refusal.to_string())
    }
}
