//! An ivy producer and a worker of the Node package.

use std::time::Duration;

use ivy_test_kit::PATIENCE;
use ivy_tokio::{ErrorKind, Task};
use serde_json::{Value, json};

use crate::fixture::{Fixture, assert_alive, texts_across_blocks};

const FACTORIAL: Task<(u64,), u64> = Task::new("number.factorial").queue("numbers");
const ECHO: Task<(String,), String> = Task::new("text.echo").queue("texts");
const SHOW: Task<(String, u64, Value), (String, u64, Value)> =
    Task::new("text.show").queue("texts");
const NOTHING: Task<(), ()> = Task::new("nothing.do").queue("nothing");
const FAIL: Task<(u64,), u64> = Task::new("number.fail").queue("numbers");

#[tokio::test]
async fn our_caller_gets_its_typed_result() {
    for fixture in Fixture::both().await {
        let mut worker =
            fixture.node_worker("numbers", json!({ "number.factorial": "factorial" })).await;
        let handle = fixture.ivy().call(&FACTORIAL, (5,)).await.unwrap();
        assert_eq!(handle.result(PATIENCE).await.unwrap(), 120);
        worker.event("executed").await;
        fixture.until_size("numbers", 0).await;
        assert_alive(&mut worker).await;
    }
}

#[tokio::test]
async fn our_caller_works_over_another_channel_of_a_redis_with_a_password() {
    let fixture = Fixture::with_other_notifier().await;
    let _worker = fixture.node_worker("numbers", json!({ "number.factorial": "factorial" })).await;
    let handle = fixture.ivy().call(&FACTORIAL, (5,)).await.unwrap();
    assert_eq!(handle.result(PATIENCE).await.unwrap(), 120);
}

#[tokio::test]
async fn several_results_and_none_arrive_as_they_were_sent() {
    for fixture in Fixture::both().await {
        let ivy = fixture.ivy();
        let _texts = fixture.node_worker("texts", json!({ "text.show": "echo" })).await;
        let args = ("ž".to_owned(), 7, json!({ "a": [null, 1.5] }));
        let handle = ivy.call(&SHOW, args.clone()).await.unwrap();
        assert_eq!(handle.result(PATIENCE).await.unwrap(), args);
        let _nothing = fixture.node_worker("nothing", json!({ "nothing.do": "nothing" })).await;
        let handle = ivy.call(&NOTHING, ()).await.unwrap();
        handle.result(PATIENCE).await.unwrap();
    }
}

#[tokio::test]
async fn text_of_any_language_arrives_undamaged() {
    for fixture in Fixture::both().await {
        let ivy = fixture.ivy();
        let mut worker = fixture.node_worker("texts", json!({ "text.echo": "echo" })).await;
        for text in texts_across_blocks() {
            let handle = ivy.call(&ECHO, (text.clone(),)).await.unwrap();
            assert_eq!(worker.event("executed").await["args"], json!([text]));
            assert_eq!(handle.result(PATIENCE).await.unwrap(), text);
        }
        assert_alive(&mut worker).await;
    }
}

#[tokio::test]
async fn our_bridge_frames_are_read_by_it() {
    let fixture = Fixture::bridging().await;
    let ivy = fixture.ivy();
    for text in texts_across_blocks() {
        ivy.send(&ECHO, (text,)).await.unwrap();
    }
    let bodies = fixture.ironmq.peek("texts").await;
    assert!(bodies.iter().all(|body| body.contains("$h1$k1$")), "{bodies:?}");
    let mut worker = fixture.node_worker("texts", json!({ "text.echo": "echo" })).await;
    let mut seen = Vec::new();
    for _ in texts_across_blocks() {
        seen.push(worker.event("executed").await["args"][0].clone());
    }
    seen.sort_by_key(ToString::to_string);
    let mut expected: Vec<Value> = texts_across_blocks().map(Value::from).collect();
    expected.sort_by_key(ToString::to_string);
    assert_eq!(seen, expected);
    let handle = ivy.call(&ECHO, ("řeka".to_owned(),)).await.unwrap();
    assert_eq!(handle.result(PATIENCE).await.unwrap(), "řeka");
    assert_alive(&mut worker).await;
}

#[tokio::test]
async fn each_of_many_callers_gets_its_own_result() {
    for fixture in Fixture::both().await {
        let _worker =
            fixture.node_worker("numbers", json!({ "number.factorial": "factorial" })).await;
        let handles = fixture.ivy().call_many(&FACTORIAL, (0..16).map(|n| (n,))).await;
        for (n, handle) in (0..16).zip(handles) {
            assert_eq!(handle.unwrap().result(PATIENCE).await.unwrap(), (1..=n).product::<u64>());
        }
    }
}

#[tokio::test]
async fn a_failure_that_the_node_package_does_not_publish_ends_in_a_timeout() {
    let fixture = Fixture::plain().await;
    let mut worker = fixture.node_worker("numbers", json!({ "number.fail": "fail" })).await;
    let handle = fixture.ivy().call(&FAIL, (1,)).await.unwrap();
    worker.event("executed").await;
    let error = handle.result(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_alive(&mut worker).await;
}

#[tokio::test]
async fn a_task_that_it_runs_without_a_callback_is_done_and_ends_in_a_timeout() {
    let fixture = Fixture::plain().await;
    let tasks = json!({ "number.factorial": "factorial" });
    let mut worker = fixture.silent_node_worker("numbers", tasks).await;
    let handle = fixture.ivy().call(&FACTORIAL, (5,)).await.unwrap();
    assert_eq!(worker.event("executed").await["result"], json!([120]));
    let error = handle.result(Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    fixture.until_size("numbers", 0).await;
    assert_alive(&mut worker).await;
}
