use std::time::Duration;

use super::scenario::*;
use crate::event::Event;
use crate::queue::{Fault, FaultKind, QueueOp, QueueReply};
use crate::worker::WorkerConfig;

fn fault(kind: FaultKind) -> Fault {
    Fault::new(kind)
}

/// A worker whose handlers for this many messages have returned.
fn worker_after_handlers(count: usize) -> Scenario {
    configured_worker_after_handlers(config(), count)
}

fn configured_worker_after_handlers(config: WorkerConfig, count: usize) -> Scenario {
    let mut worker = started_with(config.with_concurrency(count));
    let body = plain_body();
    worker.deliver(&vec![body.as_str(); count]);
    while let Some(run) = worker.runs.pop_front() {
        worker.done(&run);
    }
    worker
}

#[test]
fn deletes_are_batched_for_fifty_milliseconds() {
    let mut worker = worker_after_handlers(3);
    worker.advance(Duration::from_millis(49));
    assert!(worker.take_deletes().is_none());
    worker.advance(Duration::from_millis(1));
    assert_eq!(worker.take_deletes().unwrap().1.len(), 3);
}

#[test]
fn a_hundred_deletes_are_sent_immediately() {
    let mut worker = worker_after_handlers(100);
    assert_eq!(worker.take_deletes().unwrap().1.len(), 100);
}

#[test]
fn a_task_is_reported_as_acknowledged_when_its_message_is_deleted() {
    let mut worker = worker_after_handlers(1);
    worker.advance(Duration::from_millis(50));
    assert!(!worker.has_event(|event| matches!(event, Event::Acknowledged { .. })));
    let (op, _) = worker.take_deletes().unwrap();
    worker.reply(op, Ok(QueueReply::all_deleted(1)));
    assert!(worker.has_event(|event| matches!(event, Event::Acknowledged { .. })));
    assert_eq!(worker.worker.load().held, 0);
}

#[test]
fn a_refused_batch_is_deleted_one_by_one() {
    let mut worker = worker_after_handlers(3);
    worker.advance(Duration::from_millis(50));
    let (batch, _) = worker.take_deletes().unwrap();
    worker.reply_fault(batch, FaultKind::NoMessage);
    let (first, _) = worker.take_deletes().unwrap();
    let (second, _) = worker.take_deletes().unwrap();
    let (third, _) = worker.take_deletes().unwrap();
    worker.reply(first, Ok(QueueReply::all_deleted(1)));
    worker.reply_fault(second, FaultKind::NoMessage);
    worker.reply_fault(third, FaultKind::LeaseLost);
    assert_eq!(worker.worker.load().held, 0);
    let lost = worker.events.iter().filter(|event| matches!(event, Event::LeaseLost { .. }));
    assert_eq!(lost.count(), 1, "a missing message counts as deleted; a lost lease is reported");
}

#[test]
fn each_message_of_a_batch_is_settled_according_to_its_entry() {
    let mut worker = worker_after_handlers(5);
    worker.advance(Duration::from_millis(50));
    let (batch, receipts) = worker.take_deletes().unwrap();
    let refused = [FaultKind::LeaseLost, FaultKind::NoMessage, FaultKind::ServerError].map(fault);
    let entries = [Ok(())].into_iter().chain(refused.map(Err)).chain([Ok(())]).collect();
    worker.reply(batch, Ok(QueueReply::Deleted(entries)));
    assert_eq!(worker.worker.load().held, 1);
    let count =
        |is_counted: fn(&Event) -> bool| worker.events.iter().filter(|e| is_counted(e)).count();
    assert_eq!(count(|event| matches!(event, Event::Acknowledged { .. })), 3);
    assert_eq!(count(|event| matches!(event, Event::LeaseLost { .. })), 1);
    assert_eq!(count(|event| matches!(event, Event::QueueError { .. })), 1);
    worker.advance(Duration::from_secs(1));
    assert_eq!(
        worker.take_deletes().unwrap().1,
        receipts[3..4],
        "only the message that may still exist"
    );
}

#[test]
fn a_reply_with_the_wrong_number_of_entries_settles_no_message() {
    for count in [0, 2, 4] {
        let mut worker = worker_after_handlers(3);
        worker.advance(Duration::from_millis(50));
        let (batch, receipts) = worker.take_deletes().unwrap();
        worker.reply(batch, Ok(QueueReply::all_deleted(count)));
        assert_eq!(worker.worker.load().held, 3, "{count}");
        worker.advance(Duration::from_secs(1));
        assert_eq!(worker.take_deletes().unwrap().1, receipts, "{count}");
    }
}

#[test]
fn a_batch_whose_reply_was_lost_is_sent_again() {
    let mut worker = worker_after_handlers(3);
    worker.advance(Duration::from_millis(50));
    let (batch, receipts) = worker.take_deletes().unwrap();
    worker.reply_fault(batch, FaultKind::ReplyLost);
    assert!(worker.take_deletes().is_none());
    worker.advance(Duration::from_secs(1));
    assert_eq!(worker.take_deletes().unwrap().1, receipts);
}

#[test]
fn messages_whose_deletes_cannot_be_sent_keep_their_leases() {
    let mut worker = worker_after_handlers(1);
    let mut touches = 0;
    for _ in 0..120 {
        worker.advance(Duration::from_millis(500));
        while let Some((op, _)) = worker.take_deletes() {
            worker.reply_fault(op, FaultKind::Unreachable);
        }
        while let Some((op, _)) = worker.take_touch() {
            touches += 1;
            worker.touched(op, &format!("t{touches}"));
        }
    }
    assert!(touches >= 2, "{touches} touches in a minute");
    assert_eq!(worker.worker.load().held, 1);
}

#[test]
fn a_delete_request_does_not_exceed_the_size_limit() {
    // Each message takes 35 bytes: 3 for its ids, 32 of overhead.
    for (max_request, batches) in
        [(35, &[1, 1, 1][..]), (69, &[1, 1, 1]), (70, &[2, 1]), (105, &[3])]
    {
        let mut config = config();
        config.capabilities.max_request = max_request;
        let mut worker = configured_worker_after_handlers(config, 3);
        worker.advance(Duration::from_millis(50));
        let deletes = std::iter::from_fn(|| worker.take_deletes());
        let deleted: Vec<usize> = deletes.map(|(_, receipts)| receipts.len()).collect();
        assert_eq!(deleted, batches, "{max_request}");
    }
}

#[test]
fn no_message_is_deleted_before_its_handler_returns() {
    let mut worker = started();
    worker.running(&plain_body());
    worker.advance(Duration::from_secs(10));
    assert!(worker.take_deletes().is_none());
    assert!(!worker.ops.iter().any(|(_, op)| matches!(op, QueueOp::DeleteMany { .. })));
}
