//! A producer of the Node package and an ivy worker.

use ivy_test_kit::Notices;
use ivy_tokio::{Task, TaskError};
use serde_json::{Value, json};

use crate::fixture::{Fixture, assert_alive, node_call, texts_across_blocks};

const FACTORIAL: Task<(u64,), u64> = Task::new("number.factorial").queue("numbers");
const ECHO: Task<(String,), String> = Task::new("text.echo").queue("texts");
const JOIN: Task<(String, u64, Value), String> = Task::new("text.join").queue("texts");
const TOUCH: Task<(), ()> = Task::new("nothing.touch").queue("nothing");
const BREAK: Task<(u64,), u64> = Task::new("number.break").queue("numbers");

async fn factorial(n: u64) -> Result<u64, TaskError> {
    Ok((1..=n).product())
}

async fn echo(text: String) -> Result<String, TaskError> {
    Ok(text)
}

async fn join(text: String, number: u64, value: Value) -> Result<String, TaskError> {
    Ok(format!("{text} {number} {value}"))
}

async fn touch() -> Result<(), TaskError> {
    Ok(())
}

async fn break_down(_: u64) -> Result<u64, TaskError> {
    Err(TaskError::fatal("broken"))
}

#[tokio::test]
async fn its_callback_is_called_when_our_worker_has_run_the_task() {
    for fixture in Fixture::both().await {
        let _worker = fixture.ivy().worker().register(&FACTORIAL, factorial).start().await.unwrap();
        let mut producer =
            fixture.node_producer("numbers", json!({ "number.factorial": {} })).await;
        node_call(&mut producer, "number.factorial", json!([5])).await;
        let callback = producer.event("callback").await;
        assert_eq!(
            callback,
            json!({ "event": "callback", "name": "number.factorial", "args": [5] })
        );
        fixture.until_size("numbers", 0).await;
        assert_alive(&mut producer).await;
    }
}

#[tokio::test]
async fn it_works_over_another_channel_of_a_redis_with_a_password() {
    let fixture = Fixture::with_other_notifier().await;
    let mut notices = Notices::listen(&fixture.redis, "*").await;
    let _worker = fixture.ivy().worker().register(&FACTORIAL, factorial).start().await.unwrap();
    let mut producer = fixture.node_producer("numbers", json!({ "number.factorial": {} })).await;
    node_call(&mut producer, "number.factorial", json!([5])).await;
    producer.event("callback").await;
    assert_eq!(notices.next().await.channel, "other-channel");
}

#[tokio::test]
async fn it_receives_exactly_the_fields_that_the_node_package_writes() {
    let fixture = Fixture::plain().await;
    let mut notices = Notices::listen(&fixture.redis, "*").await;
    let _worker = fixture.ivy().worker().register(&FACTORIAL, factorial).start().await.unwrap();
    let options = json!({ "retry": true, "maxRetries": 3 });
    let mut producer =
        fixture.node_producer("numbers", json!({ "number.factorial": options })).await;
    node_call(&mut producer, "number.factorial", json!([5])).await;
    let mut notice = notices.next().await;
    assert_eq!(notice.channel, "ivy-notifier");
    let id = notice.content.as_object_mut().unwrap().remove("id").unwrap();
    assert!(id.as_str().is_some_and(|id| id.len() == 19), "{id}");
    let expected = json!({
        "name": "number.factorial", "args": [5], "options": options, "result": [120], "notify": true, "queue": "numbers",
    });
    assert_eq!(notice.content, expected);
}

#[tokio::test]
async fn arguments_of_any_number_and_shape_arrive() {
    for fixture in Fixture::both().await {
        let mut notices = Notices::listen(&fixture.redis, "ivy-notifier").await;
        let worker = fixture.ivy().worker().register(&JOIN, join).register(&TOUCH, touch);
        let _worker = worker.start().await.unwrap();
        let value = json!({ "a": [1, null, "ž"], "b": { "c": 1.5 } });
        let mut joins = fixture.node_producer("texts", json!({ "text.join": {} })).await;
        node_call(&mut joins, "text.join", json!(["x", 7, value])).await;
        assert_eq!(notices.next().await.content["result"], json!([format!("x 7 {value}")]));
        assert_eq!(joins.event("callback").await["args"], json!(["x", 7, value]));
        let mut touches = fixture.node_producer("nothing", json!({ "nothing.touch": {} })).await;
        node_call(&mut touches, "nothing.touch", json!([])).await;
        assert_eq!(notices.next().await.content["result"], json!([]));
        assert_eq!(touches.event("callback").await["args"], json!([]));
    }
}

#[tokio::test]
async fn text_of_any_language_arrives_undamaged() {
    for fixture in Fixture::both().await {
        let mut notices = Notices::listen(&fixture.redis, "ivy-notifier").await;
        let _worker = fixture.ivy().worker().register(&ECHO, echo).start().await.unwrap();
        let mut producer = fixture.node_producer("texts", json!({ "text.echo": {} })).await;
        for text in texts_across_blocks() {
            producer.send(&json!({ "do": "call", "name": "text.echo", "args": [text] })).await;
            let notice = notices.next().await.content;
            assert_eq!((&notice["args"], &notice["result"]), (&json!([text]), &json!([text])));
        }
        fixture.until_size("texts", 0).await;
        fixture.until_size("texts.dead", 0).await;
    }
}

#[tokio::test]
async fn each_of_several_producers_gets_its_callback() {
    for fixture in Fixture::both().await {
        let _worker = fixture.ivy().worker().register(&FACTORIAL, factorial).start().await.unwrap();
        for n in 1..=4 {
            // The Node package receives one result after it subscribed: each call needs a new
            // process.
            let mut producer =
                fixture.node_producer("numbers", json!({ "number.factorial": {} })).await;
            node_call(&mut producer, "number.factorial", json!([n])).await;
            assert_eq!(producer.event("callback").await["args"], json!([n]));
            assert_alive(&mut producer).await;
        }
    }
}

#[tokio::test]
async fn a_failure_is_dead_lettered_and_not_published_to_producers_that_would_crash() {
    for fixture in Fixture::both().await {
        let mut notices = Notices::listen(&fixture.redis, "*").await;
        let worker =
            fixture.ivy().worker().register(&BREAK, break_down).register(&FACTORIAL, factorial);
        let _worker = worker.start().await.unwrap();
        let tasks = json!({ "number.break": { "retry": false }, "number.factorial": {} });
        let mut producer = fixture.node_producer("numbers", tasks).await;
        node_call(&mut producer, "number.break", json!([1])).await;
        fixture.until_size("numbers.dead", 1).await;
        fixture.until_size("numbers", 0).await;
        node_call(&mut producer, "number.factorial", json!([3])).await;
        assert_eq!(producer.event("callback").await["args"], json!([3]));
        assert_eq!(notices.next().await.content["name"], "number.factorial");
        assert_alive(&mut producer).await;
    }
}

#[tokio::test]
async fn it_lists_our_tasks_that_wait_for_a_worker() {
    for fixture in Fixture::both().await {
        let mut producer =
            fixture.node_producer("numbers", json!({ "number.factorial": {} })).await;
        let ivy = fixture.ivy();
        for n in [3, 4] {
            ivy.send(&FACTORIAL, (n,)).await.unwrap();
        }
        producer.send(&json!({ "do": "scheduled" })).await;
        let listed = producer.event("scheduled").await["tasks"].clone();
        let listed: Vec<_> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|task| (task["name"].clone(), task["args"].clone()))
            .collect();
        let name = json!("number.factorial");
        assert_eq!(listed, [(name.clone(), json!([3])), (name, json!([4]))]);
    }
}
