//! The IronMQ protocol of the tests: operations, responses, and what a response must prove.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ivy_ironmq::{Address, IronMq, Scheme, Token};
use ivy_proto::queue::{Batch, Body, Fault, FaultKind, NewMessage, QueueOp, QueueReply, Reserved};
use ivy_proto::{MessageId, QueueName, Receipt, ReservationId};

/// The token of every project here; it must appear in no text.
pub const TOKEN: &str = "MarkerToken7Zq";
/// The id of every project here.
pub const PROJECT: &str = "5e3a6f0c1b2d4e5f6a7b8c9d";

/// A project with [`TOKEN`].
pub fn ironmq() -> IronMq {
    let address = Address::new(Scheme::Https, "mq.example", PROJECT).unwrap();
    IronMq::new(&address, Token::new(TOKEN).unwrap())
}

/// The queue of all operations.
pub fn queue() -> QueueName {
    QueueName::new("mail").unwrap()
}

/// The receipt for operations on one message.
pub fn receipt() -> Receipt {
    Receipt {
        message: MessageId::new("6000653546228216707"),
        reservation: ReservationId::new("b42dd6bc2a2a4a2d95ab4b0d65ab2f9b"),
    }
}

/// A post of these bodies.
pub fn post(bodies: &[&str]) -> QueueOp {
    let messages =
        bodies.iter().map(|body| NewMessage { body: Body::new(*body), delay: Duration::ZERO });
    QueueOp::Post { queue: queue(), messages: Batch::new(messages.collect()).unwrap() }
}

/// A reserve of this many messages.
pub fn reserve(count: usize) -> QueueOp {
    let (lease, wait) = (Duration::from_secs(30), Duration::from_secs(30));
    QueueOp::Reserve { queue: queue(), count, lease, wait }
}

/// A peek of one message.
pub fn get() -> QueueOp {
    QueueOp::Get { queue: queue(), message: receipt().message }
}

/// A peek of the next messages.
pub fn peek() -> QueueOp {
    QueueOp::Peek { queue: queue(), count: 10 }
}

/// A delete of one message.
pub fn delete() -> QueueOp {
    QueueOp::Delete { queue: queue(), receipt: receipt() }
}

/// A delete of a batch.
pub fn delete_many() -> QueueOp {
    QueueOp::DeleteMany { queue: queue(), receipts: Batch::one(receipt()) }
}

/// A touch.
pub fn touch() -> QueueOp {
    QueueOp::Touch { queue: queue(), receipt: receipt(), lease: Duration::from_secs(30) }
}

/// A release without a delay.
pub fn release() -> QueueOp {
    let delay = Duration::ZERO;
    QueueOp::Release { queue: queue(), receipt: receipt(), delay, failed: false }
}

/// A clear.
pub fn clear() -> QueueOp {
    QueueOp::Clear { queue: queue() }
}

/// A request for the queue's information.
pub fn get_queue() -> QueueOp {
    QueueOp::GetQueue { queue: queue() }
}

/// The creation of the queue.
pub fn create_queue() -> QueueOp {
    QueueOp::CreateQueue { queue: queue() }
}

/// The deletion of the queue.
pub fn delete_queue() -> QueueOp {
    QueueOp::DeleteQueue { queue: queue() }
}

/// A list of queues.
pub fn list_queues() -> QueueOp {
    QueueOp::ListQueues { prefix: String::new(), after: None, count: 30 }
}

/// One operation of each kind.
pub fn all_ops() -> Vec<QueueOp> {
    vec![
        post(&["hello"]),
        reserve(10),
        get(),
        peek(),
        delete(),
        delete_many(),
        touch(),
        release(),
        clear(),
        get_queue(),
        create_queue(),
        delete_queue(),
        list_queues(),
    ]
}

/// A JSON response with this status.
pub fn response(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    response_with(status, &[("content-type", "application/json")], body)
}

/// A response with this status and these headers.
pub fn response_with(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// Decodes a response to the operation, which must be valid.
pub fn decode(op: &QueueOp, status: u16, body: &str) -> Result<QueueReply, Fault> {
    ironmq().decode(op, response(status, body.to_owned()))
}

/// The fault that the response must be.
pub fn fault(op: &QueueOp, status: u16, body: &str) -> Fault {
    decode(op, status, body).unwrap_err()
}

/// The kind of fault that the response must be.
pub fn kind(op: &QueueOp, status: u16, body: &str) -> FaultKind {
    fault(op, status, body).kind()
}

/// The messages that a reserve of ten returns for this response.
pub fn reserved(body: &str) -> Reserved {
    reserved_of(10, body)
}

/// The messages that a reserve of this many returns for this response.
pub fn reserved_of(count: usize, body: &str) -> Reserved {
    match decode(&reserve(count), 200, body) {
        Ok(QueueReply::Reserved(reserved)) => reserved,
        other => panic!("{body}: {other:?}"),
    }
}

/// A successful reply contains what the caller needs next: ids, receipts, messages.
pub fn assert_proved(op: &QueueOp, reply: &QueueReply) {
    match (op, reply) {
        (QueueOp::Post { messages, .. }, QueueReply::Posted(ids)) => {
            assert_eq!(ids.len(), messages.items().len());
            let is_id = |id: &MessageId| !id.as_str().is_empty();
            assert!(ids.iter().all(|id| id.as_ref().is_ok_and(is_id)));
        }
        (QueueOp::Reserve { .. }, QueueReply::Reserved(reserved)) => {
            let receipts = reserved.messages.iter().map(|message| &message.receipt);
            for receipt in receipts {
                assert!(!receipt.message.as_str().is_empty());
                assert!(!receipt.reservation.as_str().is_empty());
            }
        }
        (QueueOp::Get { message, .. }, QueueReply::Message(found)) => {
            assert_eq!(*message, found.id)
        }
        (QueueOp::Touch { receipt, .. }, QueueReply::Touched(renewed)) => {
            assert_eq!(receipt.message, renewed.message);
            assert!(!renewed.reservation.as_str().is_empty());
        }
        (QueueOp::GetQueue { queue } | QueueOp::CreateQueue { queue }, QueueReply::Queue(info)) => {
            assert_eq!(*queue, info.name)
        }
        (QueueOp::Delete { .. }, QueueReply::Deleted(entries)) => assert_eq!(*entries, [Ok(())]),
        (QueueOp::DeleteMany { receipts, .. }, QueueReply::Deleted(entries)) => {
            assert_eq!(entries.len(), receipts.items().len());
            assert!(entries.iter().all(Result::is_ok));
        }
        (QueueOp::Peek { .. }, QueueReply::Peeked(_))
        | (QueueOp::Release { .. }, QueueReply::Released)
        | (QueueOp::Clear { .. }, QueueReply::Cleared)
        | (QueueOp::DeleteQueue { .. }, QueueReply::QueueDeleted)
        | (QueueOp::ListQueues { .. }, QueueReply::Queues(_)) => {}
        _ => panic!("{reply:?} is no reply to {op:?}"),
    }
}
