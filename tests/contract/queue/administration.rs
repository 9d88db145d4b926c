//! What operators ask of a queue.

use std::time::Duration;

use ivy_proto::queue::{Fault, FaultKind, QueueOp, QueueReply};

use super::bench::Bench;

pub(super) async fn a_message_that_is_looked_at_stays_where_it_is(bench: Bench) {
    bench.post("one").await;
    bench.post("two").await;
    assert_eq!(bench.peek().await, ["one", "two"]);
    assert_eq!(bench.peek().await, ["one", "two"]);
    assert_eq!(bench.reserve(10).await.len(), 2);
    assert!(bench.peek().await.is_empty(), "what is reserved is not ready");
}

pub(super) async fn a_look_changes_no_count(bench: Bench) {
    bench.post("hello").await;
    for _ in 0..3 {
        bench.peek().await;
    }
    assert_eq!(bench.reserve_one().await.deliveries.upper_bound().unwrap_or(1), 1);
}

pub(super) async fn a_clear_takes_reserved_messages_along(bench: Bench) {
    bench.post("one").await;
    bench.reserve_one().await;
    bench.post("two").await;
    let cleared = bench.ask(QueueOp::Clear { queue: bench.queue.clone() }).await;
    assert_eq!(cleared, Ok(QueueReply::Cleared));
    assert_eq!(bench.size().await, Ok(Some(0)));
    bench.post("three").await;
    assert_eq!(bench.peek().await, ["three"]);
}

pub(super) async fn the_size_counts_what_is_reserved_and_delayed_too(bench: Bench) {
    bench.post("one").await;
    bench.reserve_one().await;
    bench.post("two").await;
    bench.post_later("three", Duration::from_secs(60)).await;
    assert_eq!(bench.size().await, Ok(Some(3)));
}

pub(super) async fn a_queue_that_does_not_exist_is_reported_as_that(bench: Bench) {
    assert_eq!(bench.size().await, Err(FaultKind::NoQueue));
}

pub(super) async fn queues_are_listed_in_their_order(bench: Bench) {
    let prefix = "listed.".to_owned();
    for name in ["listed.b", "listed.a", "listed.c", "other"] {
        bench.on(name).post("hello").await;
    }
    let after = Some(bench.on("listed.a").queue);
    match bench.ask(QueueOp::ListQueues { prefix, after, count: 10 }).await {
        Ok(QueueReply::Queues(names)) => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            assert_eq!(names, ["listed.b", "listed.c"]);
        }
        Err(fault) => assert!(is_unsupported(&fault), "{fault}"),
        other => panic!("{other:?}"),
    }
}

/// Whether a backend says that it cannot do this at all.
fn is_unsupported(fault: &Fault) -> bool {
    matches!(fault.kind(), FaultKind::Unsupported { .. })
}
