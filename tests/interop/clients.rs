//! Clients that know nothing of ivy, against `ivy serve`.

use ivy_tests::{IvyServer, node_script, python_script};
use serde_json::json;

use crate::stage::{Stage, assert_alive, call};

#[tokio::test]
async fn the_official_node_client_finds_an_ironmq() {
    let server = IvyServer::start().await;
    let held = node_script("client.js").envs(server.env()).start().success().await;
    assert!(!held.is_empty());
}

#[tokio::test]
async fn the_official_python_client_finds_an_ironmq() {
    let server = IvyServer::start().await;
    let held = python_script("client.py").envs(server.env()).start().success().await;
    assert!(!held.is_empty());
}

#[tokio::test]
async fn the_node_original_works_with_itself() {
    for stage in [Stage::plain().await, Stage::encrypted().await] {
        let mut worker =
            stage.node_worker("numbers", json!({ "number.factorial": "factorial" })).await;
        let mut producer = stage.node_producer("numbers", &["number.factorial"]).await;
        producer.send(&call("number.factorial", json!([5]))).await;
        producer.expect_event("sent").await;
        assert_eq!(worker.expect_event("executed").await["result"], json!([120]));
        assert_eq!(producer.expect_event("callback").await["args"], json!([5]));
        assert_alive(&mut producer).await;
        assert_alive(&mut worker).await;
    }
}
