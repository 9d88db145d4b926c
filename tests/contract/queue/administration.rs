//! What operators use: peek, clear, size and the list of queues.

use std::time::Duration;

use ivy_proto::queue::{Fault, FaultKind, QueueOp, QueueReply};

use super::fixture::Fixture;

pub(super) async fn a_peek_leaves_the_message_in_its_queue(fixture: Fixture) {
    fixture.post("one").await;
    fixture.post("two").await;
    assert_eq!(fixture.peek().await, ["one", "two"]);
    assert_eq!(fixture.peek().await, ["one", "two"]);
    assert_eq!(fixture.reserve(10).await.len(), 2);
    assert!(fixture.peek().await.is_empty(), "a reserved message is not ready");
}

pub(super) async fn a_peek_changes_no_count(fixture: Fixture) {
    fixture.post("hello").await;
    for _ in 0..3 {
        fixture.peek().await;
    }
    // A backend without counts cannot be checked.
    assert_eq!(fixture.reserve_one().await.deliveries.upper_bound().unwrap_or(1), 1);
}

pub(super) async fn a_clear_deletes_reserved_messages_too(fixture: Fixture) {
    fixture.post("one").await;
    fixture.reserve_one().await;
    fixture.post("two").await;
    let cleared = fixture.execute(QueueOp::Clear { queue: fixture.queue.clone() }).await;
    assert_eq!(cleared, Ok(QueueReply::Cleared));
    assert_eq!(fixture.size().await, Ok(Some(0)));
    fixture.post("three").await;
    assert_eq!(fixture.peek().await, ["three"]);
}

pub(super) async fn the_size_includes_reserved_and_delayed_messages(fixture: Fixture) {
    fixture.post("one").await;
    fixture.reserve_one().await;
    fixture.post("two").await;
    fixture.post_later("three", Duration::from_secs(60)).await;
    assert_eq!(fixture.size().await, Ok(Some(3)));
}

pub(super) async fn the_size_of_a_missing_queue_is_the_fault_no_queue(fixture: Fixture) {
    assert_eq!(fixture.size().await, Err(FaultKind::NoQueue));
}

pub(super) async fn queues_with_a_prefix_are_listed_in_order_after_a_name(fixture: Fixture) {
    let prefix = "listed.".to_owned();
    for name in ["listed.b", "listed.a", "listed.c", "other"] {
        fixture.on(name).post("hello").await;
    }
    let after = Some(fixture.on("listed.a").queue);
    match fixture.execute(QueueOp::ListQueues { prefix, after, count: 10 }).await {
        Ok(QueueReply::Queues(names)) => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            assert_eq!(names, ["listed.b", "listed.c"]);
        }
        Err(fault) => assert!(is_unsupported(&fault), "{fault}"),
        other => panic!("{other:?}"),
    }
}

fn is_unsupported(fault: &Fault) -> bool {
    matches!(fault.kind(), FaultKind::Unsupported { .. })
}
