//! Clients of other projects, against `ivy serve`.

use ivy_test_kit::{IvyServer, node_script, python_script};
use serde_json::json;

use crate::fixture::{Fixture, assert_alive, node_call};

#[tokio::test]
async fn the_official_node_client_works_with_ivy_serve() {
    let server = IvyServer::start().await;
    let held = node_script("client.js").envs(server.env()).start().success().await;
    assert!(!held.is_empty());
}

#[tokio::test]
async fn the_official_python_client_works_with_ivy_serve() {
    let server = IvyServer::start().await;
    let held = python_script("client.py").envs(server.env()).start().success().await;
    assert!(!held.is_empty());
}

#[tokio::test]
async fn the_node_package_works_over_ivy_serve() {
    for fixture in Fixture::both().await {
        let mut worker =
            fixture.node_worker("numbers", json!({ "number.factorial": "factorial" })).await;
        let mut producer =
            fixture.node_producer("numbers", json!({ "number.factorial": {} })).await;
        node_call(&mut producer, "number.factorial", json!([5])).await;
        assert_eq!(worker.event("executed").await["result"], json!([120]));
        assert_eq!(producer.event("callback").await["args"], json!([5]));
        assert_alive(&mut producer).await;
        assert_alive(&mut worker).await;
    }
}
