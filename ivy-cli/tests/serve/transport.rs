//! The HTTP details that real clients of IronMQ use and depend on.

use serde_json::json;

use crate::http::Response;
use crate::server::{PROJECT, Server, TOKEN, raw_request, request};

fn authorization() -> String {
    format!("Authorization: OAuth {TOKEN}")
}

/// The response to a request for a queue with these headers and this body.
fn send(server: &Server, verb: &str, path: &str, headers: &[&str], body: &str) -> Response {
    let authorization = authorization();
    let mut all = vec![authorization.as_str()];
    all.extend(headers);
    let mut connection = server.connect();
    connection.send(raw_request(verb, &format!("/3/projects/{PROJECT}/{path}"), &all, body));
    connection.read()
}

#[test]
fn every_response_has_exactly_the_headers_that_clients_rely_on() {
    let server = Server::start();
    for (verb, path, body) in [
        ("GET", "queues", ""),
        ("PUT", "queues/q", "{}"),
        ("POST", "queues/q/messages", r#"{"messages":[{"body":"a"}]}"#),
        ("POST", "queues/q/reservations", r#"{"n":1}"#),
        ("GET", "queues/missing", ""),
        ("POST", "queues/q/messages", "{"),
        ("PUT", "queues", ""),
    ] {
        let response = server.request(verb, path, body);
        let head = &response.head[1..];
        let length = format!("Content-Length: {}", response.body.len());
        assert!(head.contains(&"Content-Type: application/json".to_owned()), "{head:?}");
        assert!(head.contains(&length), "{head:?}");
        assert_eq!(response.header("Transfer-Encoding"), None);
        assert_eq!(response.header("Content-Encoding"), None);
        assert!(!response.body.is_empty(), "{verb} {path}");
    }
}

#[test]
fn responses_are_never_compressed() {
    let server = Server::start();
    let response = send(&server, "GET", "queues", &["Accept-Encoding: gzip/deflate"], "");
    assert_eq!(response.status_and_text(), (200, r#"{"queues":[]}"#));
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.send(request("PUT", "queues/q", "{}"));
    assert_eq!(connection.read().status(), 200);
    // Neither an error nor a refused token ends it.
    connection.send(request("GET", "queues/missing", "{}"));
    assert_eq!(connection.read().status(), 404);
    connection.send(raw_request("GET", &format!("/3/projects/{PROJECT}/queues"), &[], ""));
    assert_eq!(connection.read().status(), 401);
    for _ in 0..100 {
        connection.send(request("POST", "queues/q/reservations", "{}"));
        assert_eq!(connection.read().status_and_text(), (200, r#"{"messages":[]}"#));
    }
}

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    let server = Server::start();
    let mut connection = server.connect();
    let mut requests = request("PUT", "queues/q", "{}");
    for body in ["a", "b"] {
        let messages = json!({"messages": [{ "body": body }]}).to_string();
        requests.extend(request("POST", "queues/q/messages", messages));
    }
    requests.extend(request("GET", "queues/q/messages?n=2", ""));
    connection.send(requests);
    let statuses: Vec<_> = (0..3).map(|_| connection.read().status()).collect();
    assert_eq!(statuses, [200, 201, 201]);
    assert_eq!(crate::server::bodies(&connection.read().json()["messages"]), ["a", "b"]);
}

#[test]
fn a_connection_ends_on_request_of_the_client() {
    let server = Server::start();
    let mut connection = server.connect();
    let authorization = authorization();
    let target = format!("/3/projects/{PROJECT}/queues");
    let headers = [authorization.as_str(), "Connection: close"];
    connection.send(raw_request("GET", &target, &headers, ""));
    assert_eq!(connection.read().status(), 200);
    assert_eq!(connection.read_to_end(), b"");

    let mut connection = server.connect();
    connection.send(format!("GET {target} HTTP/1.0\r\n{authorization}\r\n\r\n"));
    assert_eq!(connection.read().status(), 200);
    assert_eq!(connection.read_to_end(), b"");
}

#[test]
fn every_verb_may_have_a_body_or_none() {
    let server = Server::start();
    for body in ["", "{}", r#"{"oauth":"x"}"#] {
        assert_eq!(server.request("PUT", "queues/q", body).status(), 200, "{body}");
        assert_eq!(server.request("PATCH", "queues/q", body).status(), 200, "{body}");
        assert_eq!(server.request("GET", "queues/q", body).status(), 200, "{body}");
        assert_eq!(server.request("GET", "queues", body).status(), 200, "{body}");
        assert_eq!(server.request("DELETE", "queues/q", body).status(), 200, "{body}");
    }
}

#[test]
fn a_chunked_request_is_read() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.send(format!(
        "POST /3/projects/{PROJECT}/queues/q/messages HTTP/1.1\r\nHost: x\r\n{}\r\n\
         Transfer-Encoding: chunked\r\n\r\n\
         10\r\n{{\"messages\":[{{\"b\r\n0b\r\nody\":\"hi\"}}]\r\n1\r\n}}\r\n0\r\n\r\n",
        authorization()
    ));
    assert_eq!(connection.read().status(), 201);
    assert_eq!(server.peek("q"), ["hi"]);
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let server = Server::start();
    let mut connection = server.connect();
    let body = r#"{"messages":[{"body":"hi"}]}"#;
    connection.send(format!(
        "POST /3/projects/{PROJECT}/queues/q/messages HTTP/1.1\r\nHost: x\r\n{}\r\n\
         Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        authorization(),
        body.len()
    ));
    assert_eq!(connection.read().status(), 100);
    connection.send(body);
    assert_eq!(connection.read().status(), 201);
}

#[test]
fn a_post_may_override_its_verb() {
    let server = Server::start();
    let header = |verb: &str| format!("X-HTTP-Method-Override: {verb}");
    let patch = r#"{"queue":{"message_timeout":90}}"#;
    let response = send(&server, "POST", "queues/q", &[&header("PATCH")], patch);
    assert_eq!(response.json()["queue"]["message_timeout"], 90);
    server.post_bodies("q", &["a"]);
    let response = send(&server, "POST", "queues/q/messages", &[&header("DELETE")], "{}");
    assert_eq!(response.status_and_text(), (200, r#"{"msg":"Cleared"}"#));
    let response = send(&server, "POST", "queues/q", &[&header("DELETE")], "");
    assert_eq!(response.status_and_text(), (200, r#"{"msg":"Deleted."}"#));
    assert_eq!(send(&server, "POST", "queues/q", &[&header("a b")], "").status(), 400);
}

#[test]
fn only_a_post_can_override_its_verb() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    let response = send(&server, "GET", "queues/q", &["X-HTTP-Method-Override: DELETE"], "");
    assert_eq!(response.json()["queue"]["name"], "q");
    assert_eq!(server.get("queues/q").status(), 200, "it still exists");
}

#[test]
fn too_many_or_too_long_headers_are_refused() {
    let server = Server::start();
    let many: Vec<_> = (0..200).map(|number| format!("X-{number}: x")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let long = format!("X-Long: {}", "x".repeat(1024 * 1024));
    for headers in [&many[..], &[&long]] {
        let mut connection = server.connect();
        let _ = connection.try_send(raw_request("GET", "/3/projects/p/queues", headers, ""));
        assert_eq!(connection.try_read().map_or(431, |response| response.status()), 431);
    }
    assert_eq!(server.get("queues").status(), 200);
}

#[test]
fn a_client_that_closes_its_sending_side_gets_its_responses() {
    let server = Server::start_with(&["--fault", "slow,delay=200ms"]);
    let mut connection = server.connect();
    connection.send(request("PUT", "queues/q", "{}"));
    connection.send(request("GET", "queues/q", ""));
    connection.end_sending();
    assert_eq!(connection.read().status(), 200);
    assert_eq!(connection.read().status(), 200);
    assert_eq!(connection.read_to_end(), b"");
}

#[test]
fn a_large_head_gets_a_response_at_once_and_its_connection_ends() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    for (length, header) in [(60_000, Some("close")), (9000, Some("close")), (7000, None)] {
        let padding = format!("X-Padding: {}", "x".repeat(length));
        let wait = if header.is_some() { 30 } else { 0 };
        let body = json!({ "wait": wait }).to_string();
        let started = std::time::Instant::now();
        let response = send(&server, "POST", "queues/q/reservations", &[&padding], &body);
        assert_eq!(response.status_and_text(), (200, r#"{"messages":[]}"#));
        assert_eq!(response.header("Connection"), header);
        assert!(started.elapsed().as_secs() < 30);
    }
}

#[test]
fn invalid_http_ends_its_own_connection_only() {
    let server = Server::start();
    for bytes in [
        b"hello\r\n\r\n".as_slice(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let mut connection = server.connect();
        connection.send(bytes);
        let rest = connection.read_to_end();
        let shown = String::from_utf8_lossy(&rest);
        assert!(rest.is_empty() || shown.starts_with("HTTP/1.1 4"), "{shown}");
        assert_eq!(server.get("queues").status(), 200);
    }
}

#[test]
fn a_client_that_disconnects_in_the_middle_of_a_request_changes_nothing() {
    let server = Server::start();
    let whole = request("POST", "queues/q/messages", r#"{"messages":[{"body":"a"}]}"#);
    for cut in [1, 40, whole.len() - 1] {
        server.connect().send(&whole[..cut]);
    }
    assert_eq!(server.get("queues").status_and_text(), (200, r#"{"queues":[]}"#));
}
