//! Whatever ivy does on the servers of Node peers, no peer crashes.

use ivy_test_kit::{Notices, PATIENCE};
use ivy_tokio::event::{NoticeDropReason, ReleaseReason};
use ivy_tokio::{ErrorKind, Event, Task, TaskError};
use serde_json::json;

use crate::fixture::{Fixture, assert_alive, node_call, until};

const FACTORIAL: Task<(u64,), u64> = Task::new("number.factorial").queue("numbers");
const DOUBLE: Task<(u64,), u64> = Task::new("ours.double").queue("ours");
const BREAK: Task<(u64,), u64> = Task::new("ours.break").queue("ours");
const PANIC: Task<(u64,), u64> = Task::new("ours.panic").queue("ours").retry(false);
const FACTORIAL_IN_NODE: Task<(u64,), u64> = Task::new("node.factorial").queue("node");

async fn double(n: u64) -> Result<u64, TaskError> {
    Ok(2 * n)
}

async fn break_down(_: u64) -> Result<u64, TaskError> {
    Err(TaskError::fatal("broken"))
}

async fn panic(_: u64) -> Result<u64, TaskError> {
    panic!("a handler that panics on purpose")
}

async fn factorial(n: u64) -> Result<u64, TaskError> {
    Ok((1..=n).product())
}

#[tokio::test]
async fn a_node_producer_survives_everything_ivy_does() {
    for fixture in Fixture::both().await {
        let mut shared = Notices::listen(&fixture.redis, "ivy-notifier").await;
        // It crashes on a result whose task it does not know, and reads only the first result: so
        // it can receive its own below only if there was none before.
        let mut producer =
            fixture.node_producer("numbers", json!({ "number.factorial": {} })).await;
        let ivy = fixture.ivy();
        let worker = ivy.worker().register(&FACTORIAL, factorial).register(&DOUBLE, double);
        let worker = worker.register(&BREAK, break_down).register(&PANIC, panic);
        let _worker = worker.start().await.unwrap();

        assert_eq!(ivy.call(&DOUBLE, (4,)).await.unwrap().result(PATIENCE).await.unwrap(), 8);
        for task in [&BREAK, &PANIC] {
            let error = ivy.call(task, (1,)).await.unwrap().result(PATIENCE).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Failed);
        }
        assert_alive(&mut producer).await;

        node_call(&mut producer, "number.factorial", json!([5])).await;
        assert_eq!(producer.event("callback").await["args"], json!([5]));
        assert_eq!(shared.next().await.content["name"], "number.factorial");
        assert_eq!(shared.take_received(), []);
    }
}

#[tokio::test]
async fn a_node_producer_survives_messages_that_our_worker_cannot_handle() {
    let fixture = Fixture::plain().await;
    let mut shared = Notices::listen(&fixture.redis, "ivy-notifier").await;
    let mut producer = fixture.node_producer("numbers", json!({ "number.factorial": {} })).await;
    let ivy = fixture.ivy();
    let mut events = ivy.events();
    let worker = ivy.worker().register(&FACTORIAL, factorial).register(&DOUBLE, double);
    let _worker = worker.start().await.unwrap();

    for body in ["", "no JSON", "[]", r#"{"name":"ours.double","options":{},"args":null}"#] {
        fixture.ironmq.post("ours", body).await;
        until(&mut events, |event| matches!(event, Event::DeadLettered { .. }).then_some(())).await;
    }
    fixture.ironmq.post("ours", r#"{"name":"ours.unknown","options":{},"args":[]}"#).await;
    until(&mut events, |event| {
        matches!(event, Event::Released { reason: ReleaseReason::Undecided(_), .. }).then_some(())
    })
    .await;
    // A reply channel that would make our worker publish to all clients.
    let options =
        json!({ "ivy": { "v": 1, "id": "AAAAAAAAAAAAAAAAAAAAAA", "reply": "ivy-notifier" } });
    let body = json!({ "name": "ours.double", "options": options, "args": [1] });
    fixture.ironmq.post("ours", &body.to_string()).await;
    until(&mut events, |event| {
        matches!(event, Event::NoticeDropped { reason: NoticeDropReason::ForeignChannel, .. })
            .then_some(())
    })
    .await;
    assert_alive(&mut producer).await;

    node_call(&mut producer, "number.factorial", json!([5])).await;
    assert_eq!(producer.event("callback").await["args"], json!([5]));
    assert_eq!(shared.next().await.content["name"], "number.factorial");
    assert_eq!(shared.take_received(), []);
}

#[tokio::test]
async fn a_node_worker_survives_everything_ivy_does() {
    for fixture in Fixture::both().await {
        let mut node = fixture.node_worker("node", json!({ "node.factorial": "factorial" })).await;
        let ivy = fixture.ivy();
        let worker = ivy.worker().register(&DOUBLE, double).register(&BREAK, break_down);
        let _worker = worker.start().await.unwrap();
        assert_eq!(ivy.call(&DOUBLE, (4,)).await.unwrap().result(PATIENCE).await.unwrap(), 8);
        let error = ivy.call(&BREAK, (1,)).await.unwrap().result(PATIENCE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert_eq!(
            ivy.call(&FACTORIAL_IN_NODE, (3,)).await.unwrap().result(PATIENCE).await.unwrap(),
            6
        );
        node.event("executed").await;
        assert_alive(&mut node).await;
    }
}
