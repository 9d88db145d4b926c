//! Operations and answers that the tests share.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use ivy_proto::queue::ironmq::{Address, IronMq, Scheme, Token};
use ivy_proto::queue::{
    Batch, Body, Fault, FaultKind, NewMessage, QueueOp, QueueReply, QueueSettings, Reserved,
};
use ivy_proto::{MessageId, QueueName, Receipt, ReservationId};

/// The token of every dialect here; it must be seen in no text.
pub(crate) const TOKEN: &str = "MarkerToken7Zq";
pub(crate) const PROJECT: &str = "5e3a6f0c1b2d4e5f6a7b8c9d";

pub(crate) fn dialect() -> IronMq {
    let address = Address::new(Scheme::Https, "mq.example", PROJECT).unwrap();
    IronMq::new(&address, Token::new(TOKEN).unwrap())
}

pub(crate) fn queue() -> QueueName {
    QueueName::new("mail").unwrap()
}

pub(crate) fn receipt() -> Receipt {
    Receipt {
        message: MessageId::new("6000653546228216707"),
        reservation: ReservationId::new("b42dd6bc2a2a4a2d95ab4b0d65ab2f9b"),
    }
}

pub(crate) fn post(bodies: &[&str]) -> QueueOp {
    let messages =
        bodies.iter().map(|body| NewMessage { body: Body::new(*body), delay: Duration::ZERO });
    QueueOp::Post { queue: queue(), messages: Batch::new(messages.collect()).unwrap() }
}

pub(crate) fn reserve(count: usize) -> QueueOp {
    let (lease, wait) = (Duration::from_secs(30), Duration::from_secs(30));
    QueueOp::Reserve { queue: queue(), count, lease, wait }
}

pub(crate) fn get() -> QueueOp {
    QueueOp::Get { queue: queue(), message: receipt().message }
}

pub(crate) fn peek() -> QueueOp {
    QueueOp::Peek { queue: queue(), count: 10 }
}

pub(crate) fn delete() -> QueueOp {
    QueueOp::Delete { queue: queue(), receipt: receipt() }
}

pub(crate) fn delete_many() -> QueueOp {
    QueueOp::DeleteMany { queue: queue(), receipts: Batch::one(receipt()) }
}

pub(crate) fn touch() -> QueueOp {
    QueueOp::Touch { queue: queue(), receipt: receipt(), lease: Duration::from_secs(30) }
}

pub(crate) fn release() -> QueueOp {
    QueueOp::Release { queue: queue(), receipt: receipt(), delay: Duration::ZERO }
}

pub(crate) fn clear() -> QueueOp {
    QueueOp::Clear { queue: queue() }
}

pub(crate) fn get_queue() -> QueueOp {
    QueueOp::GetQueue { queue: queue() }
}

pub(crate) fn create_queue() -> QueueOp {
    QueueOp::CreateQueue { queue: queue(), settings: QueueSettings::default() }
}

pub(crate) fn update_queue() -> QueueOp {
    QueueOp::UpdateQueue { queue: queue(), settings: QueueSettings::default() }
}

pub(crate) fn delete_queue() -> QueueOp {
    QueueOp::DeleteQueue { queue: queue() }
}

pub(crate) fn list_queues() -> QueueOp {
    QueueOp::ListQueues { prefix: String::new(), after: None, count: 30 }
}

/// One operation of each kind.
pub(crate) fn all_ops() -> Vec<QueueOp> {
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
        update_queue(),
        delete_queue(),
        list_queues(),
    ]
}

pub(crate) fn answer(status: u16, body: impl Into<Bytes>) -> Response<Bytes> {
    answer_with(status, &[("content-type", "application/json")], body)
}

pub(crate) fn answer_with(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut answer = Response::builder().status(status);
    for (name, value) in headers {
        answer = answer.header(*name, *value);
    }
    answer.body(body.into()).unwrap()
}

pub(crate) fn decode(op: &QueueOp, status: u16, body: &str) -> Result<QueueReply, Fault> {
    dialect().decode(op, answer(status, body.to_owned()))
}

/// The fault that the answer must be.
pub(crate) fn fault(op: &QueueOp, status: u16, body: &str) -> Fault {
    decode(op, status, body).unwrap_err()
}

pub(crate) fn kind(op: &QueueOp, status: u16, body: &str) -> FaultKind {
    fault(op, status, body).kind()
}

/// What a reserve of ten brings with this answer.
pub(crate) fn reserved(body: &str) -> Reserved {
    reserved_of(10, body)
}

pub(crate) fn reserved_of(count: usize, body: &str) -> Reserved {
    match decode(&reserve(count), 200, body) {
        Ok(QueueReply::Reserved(reserved)) => reserved,
        other => panic!("{body}: {other:?}"),
    }
}
