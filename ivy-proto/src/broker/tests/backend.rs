//! The broker as a queue backend.

use std::time::Duration;

use super::scenario::*;
use crate::broker::Request;
use crate::queue::{
    Batch, DeliveryCount, Fault, FaultKind, QueueOp, QueueReply, ReceivedBody, ReservedMessage,
};

/// Executes an operation as a backend does.
fn execute(scenario: &mut Scenario, op: QueueOp) -> Result<QueueReply, Fault> {
    scenario.request(Request::from(op)).map(QueueReply::from).map_err(Fault::from)
}

fn post(body: &str) -> QueueOp {
    QueueOp::Post { queue: q(), messages: Batch::one(new_message(body, Duration::ZERO)) }
}

fn reserve_one(scenario: &mut Scenario) -> ReservedMessage {
    let op = QueueOp::Reserve { queue: q(), count: 1, lease: 30 * SECOND, wait: Duration::ZERO };
    match execute(scenario, op) {
        Ok(QueueReply::Reserved(mut reserved)) => {
            assert_eq!(reserved.unusable, 0);
            reserved.messages.remove(0)
        }
        other => panic!("not the reply to a reserve: {other:?}"),
    }
}

#[test]
fn operations_cover_the_life_of_a_message() {
    let mut scenario = Scenario::new();
    let Ok(QueueReply::Posted(ids)) = execute(&mut scenario, post("a")) else { panic!("ids") };
    let message = reserve_one(&mut scenario);
    assert_eq!(ids[0].as_ref(), Ok(&message.receipt.message));
    assert_eq!(message.deliveries, DeliveryCount::Exact { failed: 0, lost: 0 });
    assert!(matches!(&message.body, ReceivedBody::Text(body) if body.as_str() == "a"));

    let (receipt, delay) = (message.receipt, Duration::ZERO);
    let release = QueueOp::Release { queue: q(), receipt, delay, failed: false };
    assert_eq!(execute(&mut scenario, release), Ok(QueueReply::Released));
    let receipt = reserve_one(&mut scenario).receipt;
    let receipts = Batch::one(receipt);
    let delete = QueueOp::DeleteMany { queue: q(), receipts };
    assert_eq!(execute(&mut scenario, delete), Ok(QueueReply::all_deleted(1)));
    assert_eq!(scenario.size(), 0);
}

#[test]
fn the_receipt_of_a_touch_deletes_the_message() {
    let mut scenario = Scenario::new();
    execute(&mut scenario, post("a")).unwrap();
    let receipt = reserve_one(&mut scenario).receipt;
    let touch = QueueOp::Touch { queue: q(), receipt, lease: 30 * SECOND };
    let Ok(QueueReply::Touched(receipt)) = execute(&mut scenario, touch) else {
        panic!("a receipt")
    };
    let delete = QueueOp::Delete { queue: q(), receipt };
    assert_eq!(execute(&mut scenario, delete), Ok(QueueReply::all_deleted(1)));
}

#[test]
fn operations_can_peek_at_a_message() {
    let mut scenario = Scenario::new();
    let message = scenario.post("a");
    let get = QueueOp::Get { queue: q(), message };
    let Ok(QueueReply::Message(got)) = execute(&mut scenario, get) else { panic!("a message") };
    let peek = QueueOp::Peek { queue: q(), count: 10 };
    assert_eq!(execute(&mut scenario, peek), Ok(QueueReply::Peeked(vec![got])));
}

#[test]
fn queues_are_administered_by_operations() {
    let mut scenario = Scenario::new();
    for queue in ["a", "b", "c"] {
        let create = QueueOp::CreateQueue { queue: name(queue) };
        assert!(matches!(execute(&mut scenario, create), Ok(QueueReply::Queue(_))));
    }
    let clear = QueueOp::Clear { queue: name("a") };
    assert_eq!(execute(&mut scenario, clear), Ok(QueueReply::Cleared));
    let delete = QueueOp::DeleteQueue { queue: name("b") };
    assert_eq!(execute(&mut scenario, delete), Ok(QueueReply::QueueDeleted));
    let created = execute(&mut scenario, QueueOp::CreateQueue { queue: name("c") });
    let get = QueueOp::GetQueue { queue: name("c") };
    assert_eq!(execute(&mut scenario, get), created);
    let list = QueueOp::ListQueues { prefix: String::new(), after: Some(name("a")), count: 30 };
    assert_eq!(execute(&mut scenario, list), Ok(QueueReply::Queues(vec![name("c")])));
}

#[test]
fn a_body_that_is_too_large_has_its_own_fault() {
    let mut scenario = Scenario::new();
    let body = "x".repeat(256 * 1024 + 1);
    let Ok(QueueReply::Posted(entries)) = execute(&mut scenario, post(&body)) else {
        panic!("entries")
    };
    assert_eq!(entries[0].as_ref().map_err(Fault::kind), Err(FaultKind::TooLarge));
}
