use super::*;
use crate::id::IdGenerator;
use crate::queue::FaultKind;

/// An outbox whose only message was posted, after `record_result` has recorded how that ended.
fn outbox_after(record_result: impl FnOnce(&mut Outbox, &QueueName)) -> Outbox {
    let mut outbox = Outbox::new(PostLimits { messages: 100, bytes: 1_000, in_flight: 8 });
    let queue = QueueName::new("testpackage").unwrap();
    let id = TaskId::from_random([1; 16]);
    let (encoded_bytes, repeatable) = (30, true);
    let body = Body::new("{}");
    let message = OutgoingMessage::new(id, body, Duration::ZERO, encoded_bytes, repeatable);
    outbox.add(&queue, message);
    let post = outbox.next_post(&queue, true).unwrap();
    let op = IdGenerator::default().next_op();
    outbox.posted(op, &queue, post, Moment::EPOCH);
    outbox.finish_post(op).unwrap();
    record_result(&mut outbox, &queue);
    outbox.tidy(&queue);
    outbox
}

#[test]
fn a_healthy_queue_without_messages_is_forgotten() {
    let outbox = outbox_after(|outbox, queue| {
        outbox.succeeded(queue);
    });
    assert!(outbox.queues.is_empty() && outbox.posts.is_empty());
}

#[test]
fn the_remembered_failing_queues_without_messages_are_bounded() {
    let mut outbox = Outbox::new(PostLimits { messages: 100, bytes: 1_000, in_flight: 8 });
    for number in 0..2 * MAX_REMEMBERED {
        let queue = QueueName::new(&format!("tenant-{number}")).unwrap();
        outbox.failed(&queue, &Fault::new(FaultKind::Unreachable));
        outbox.pause(&queue, Moment::EPOCH);
        outbox.tidy(&queue);
        outbox.resume(&queue);
        outbox.tidy(&queue);
    }
    assert_eq!(outbox.queues.len(), MAX_REMEMBERED);
}

#[test]
fn a_failing_queue_without_messages_is_remembered() {
    let outbox = outbox_after(|outbox, queue| {
        outbox.failed(queue, &Fault::new(FaultKind::Unreachable));
    });
    assert_eq!(outbox.queues.len(), 1);
}
