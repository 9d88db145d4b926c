//! Injected faults.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::Response;
use crate::server::{Server, request};

const POST: &str = r#"{"messages":[{"body":"a"}]}"#;

fn post(server: &Server) -> std::io::Result<Response> {
    server.try_request("POST", "queues/q/messages", POST)
}

/// Posts messages under a fault that hits about every other request. Returns how many posts
/// succeeded, how many did not, and how many messages are stored in the end.
fn outcome(fault: &str) -> (u64, u64, u64) {
    let server = Server::start_with(&["--fault", &format!("{fault},chance=0.5")]);
    let is_complete = |response: &std::io::Result<Response>| {
        response.as_ref().is_ok_and(|response| {
            matches!(response.status(), 200 | 201) && !response.body.is_empty()
        })
    };
    let succeeded = (0..40).filter(|_| is_complete(&post(&server))).count() as u64;
    // This request is sometimes hit as well.
    let size = loop {
        let response = server.try_request("GET", "queues/q", "");
        if is_complete(&response) {
            break response.unwrap().json()["queue"]["size"].as_u64().unwrap();
        }
    };
    (succeeded, 40 - succeeded, size)
}

#[test]
fn a_status_fault_does_not_execute_the_request() {
    let (succeeded, failed, stored) = outcome("status=503");
    assert!(succeeded > 0 && failed > 0, "{succeeded} {failed}");
    assert_eq!(stored, succeeded);
}

#[test]
fn a_dropped_reply_follows_an_executed_request() {
    for fault in ["drop-reply", "partial-reply", "empty-reply"] {
        let (succeeded, failed, stored) = outcome(fault);
        assert!(succeeded > 0 && failed > 0, "{fault}: {succeeded} {failed}");
        assert_eq!(stored, 40, "{fault}");
    }
}

#[test]
fn a_proxy_status_has_an_html_page() {
    for status in [502, 503, 504] {
        let server = Server::start_with(&["--fault", &format!("status={status}")]);
        let response = post(&server).unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(response.header("Content-Type"), Some("text/html"));
        assert!(response.text().starts_with("<html>"), "{}", response.text());
    }
}

#[test]
fn a_server_status_has_a_msg() {
    for (status, msg) in [(500, "Internal Server Error"), (429, "Too Many Requests")] {
        let server = Server::start_with(&["--fault", &format!("status={status}")]);
        let response = post(&server).unwrap();
        assert_eq!((response.status(), response.msg().as_str()), (status, msg));
        assert_eq!(response.header("Content-Type"), Some("application/json"));
    }
}

#[test]
fn a_dropped_reply_ends_the_connection_without_a_byte() {
    let server = Server::start_with(&["--fault", "drop-reply"]);
    let mut connection = server.connect();
    connection.send(request("POST", "queues/q/messages", POST));
    assert_eq!(connection.read_to_end(), b"");
}

#[test]
fn a_partial_reply_is_cut_in_its_body() {
    let server = Server::start_with(&["--fault", "partial-reply"]);
    let mut connection = server.connect();
    connection.send(request("POST", "queues/q/messages", POST));
    let bytes = connection.read_to_end();
    let (head, body) = std::str::from_utf8(&bytes).unwrap().split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 201 Created\r\n"), "{head}");
    let whole = r#"{"ids":["1000000000000000001"],"msg":"Messages put on queue."}"#;
    assert!(head.contains(&format!("Content-Length: {}", whole.len())), "{head}");
    assert_eq!(body, &whole[..whole.len() / 2]);
}

#[test]
fn an_empty_reply_has_its_status_and_no_body() {
    let server = Server::start_with(&["--fault", "empty-reply"]);
    let response = post(&server).unwrap();
    assert_eq!(response.status_and_text(), (201, ""));
    assert_eq!(response.header("Content-Length"), Some("0"));
}

#[test]
fn null_replaces_messages_and_nothing_else() {
    let server = Server::start_with(&["--fault", "null-messages"]);
    server.post_bodies("q", &["a", "b"]);
    for response in
        [server.post("queues/q/reservations", json!({})), server.get("queues/q/messages")]
    {
        assert_eq!(response.status_and_text(), (200, r#"{"messages":null}"#));
    }
    assert_eq!(server.size("q"), 2);
}

#[test]
fn a_slow_reply_is_delayed() {
    let server = Server::start_with(&["--fault", "slow,delay=300ms"]);
    let started = Instant::now();
    assert_eq!(post(&server).unwrap().status(), 201);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn slow_is_combined_with_others() {
    let server = Server::start_with(&["--fault", "slow,delay=300ms", "--fault", "status=503"]);
    let started = Instant::now();
    assert_eq!(post(&server).unwrap().status(), 503);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[test]
fn the_same_seed_hits_the_same_requests() {
    let statuses = |seed: &str| {
        let options = ["--fault", "status=503,chance=0.5", "--fault-seed", seed];
        let server = Server::start_with(&options);
        (0..40).map(|_| post(&server).unwrap().status()).collect::<Vec<_>>()
    };
    assert_eq!(statuses("7"), statuses("7"));
    assert_ne!(statuses("7"), statuses("8"));
}
