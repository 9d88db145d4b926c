//! Invalid requests.

use serde_json::json;

use crate::server::Server;

#[test]
fn malformed_json_is_a_bad_request_with_a_msg() {
    let server = Server::start();
    let deep = "[".repeat(100_000);
    let deep_object = "{\"a\":".repeat(100_000);
    let not_unicode = b"{\"messages\":[{\"body\":\"\xff\"}]}";
    let not_a_character = br#"{"messages":[{"body":"\ud800"}]}"#;
    for body in [
        b"{".as_slice(),
        b"{\"messages\":[{\"body\":\"a\"}]} x",
        b"{'messages':[]}",
        b"null",
        b"[]",
        b"\"messages\"",
        b"\xef\xbb\xbf{}",
        b"\0",
        not_unicode,
        not_a_character,
        deep.as_bytes(),
        deep_object.as_bytes(),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]);
        let response = server.request("POST", "queues/q/messages", body);
        assert_eq!(response.status(), 400, "{shown}");
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        assert!(!response.msg().is_empty(), "{shown}");
    }
    assert_eq!(server.get("queues/q").status(), 404, "nothing was created");
}

#[test]
fn a_missing_resource_is_not_found() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    for path in ["", "nonsense", "queues/q/nonsense", "queues/q/messages/1/touch/2"] {
        let response = server.get(path);
        assert_eq!(response.status_and_text(), (404, r#"{"msg":"Not found"}"#), "{path}");
    }
}

#[test]
fn a_path_outside_of_the_projects_is_not_found() {
    let server = Server::start();
    for target in ["/", "/1/projects/x/queues", "/3/projects", "*"] {
        let mut connection = server.connect();
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(
            connection.read().status_and_text(),
            (404, r#"{"msg":"Not found"}"#),
            "{target}"
        );
    }
}

#[test]
fn the_response_to_a_wrong_verb_names_the_allowed_ones() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    for (path, verbs) in [
        ("queues", "GET"),
        ("queues/q", "GET, PUT, PATCH, DELETE"),
        ("queues/q/info", "GET"),
        ("queues/q/messages", "GET, POST, DELETE"),
        ("queues/q/messages/1", "GET, DELETE"),
        ("queues/q/messages/1/touch", "POST"),
        ("queues/q/messages/1/release", "POST"),
        ("queues/q/messages/1/subscribers", "GET"),
        ("queues/q/reservations", "POST"),
        ("queues/q/webhook", "POST"),
        ("queues/q/subscribers", "POST, PUT, DELETE"),
        ("queues/q/alerts", "POST, PUT, DELETE"),
        ("queues/q/alerts/1", "DELETE"),
    ] {
        for verb in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let response = server.request(verb, path, "");
            if verbs.split(", ").any(|known| known == verb) {
                assert_ne!(response.status(), 405, "{verb} {path}");
            } else {
                assert_eq!(
                    response.status_and_text(),
                    (405, r#"{"msg":"Method not allowed"}"#),
                    "{verb} {path}"
                );
                assert_eq!(response.header("Allow"), Some(verbs), "{verb} {path}");
            }
            server.put("queues/q", json!({}));
        }
    }
}

#[test]
fn an_invalid_name_is_a_bad_request() {
    let server = Server::start();
    let long = "x".repeat(256);
    for segment in ["%ff", "a%0d%0ab", "%00", &long] {
        let response = server.put(&format!("queues/{segment}"), json!({}));
        assert_eq!(response.status(), 400, "{segment}");
        assert!(!response.msg().is_empty());
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_and_the_connection_stays_usable() {
    let server = Server::start();
    let mut connection = server.connect();
    let body = vec![b' '; 33 * 1024 * 1024];
    connection.send(crate::server::request("POST", "queues/q/messages", body));
    let response = connection.read();
    assert_eq!(response.status_and_text(), (400, r#"{"msg":"Request is too large"}"#));
    connection.send(crate::server::request("GET", "queues", ""));
    assert_eq!(connection.read().status(), 200);
}

/// The positions of values that are a few bytes each would take many times their memory.
#[cfg(target_os = "linux")]
#[test]
fn an_invalid_body_of_very_many_values_takes_little_more_memory_than_its_size() {
    const SIZE: usize = 8 * 1024 * 1024;
    for (values, end, msg) in [
        ("{\"\":0},", b"x".as_slice(), "Too many values in the body"),
        ("1,", b"1]", "Too many values in the body"),
        ("{\"\":0},", b"\"\xff\"]", "Malformed JSON: invalid unicode code point"),
    ] {
        let server = Server::start();
        let before = server.peak_memory();
        let mut body = format!("[{}", values.repeat(SIZE / values.len())).into_bytes();
        body.extend(end);
        let response = server.request("POST", "queues/q/messages", body);
        assert_eq!(response.status(), 400);
        assert!(response.msg().starts_with(msg), "{}", response.msg());
        let growth = server.peak_memory() - before;
        assert!(growth < 4 * SIZE, "{growth} bytes for {values:?}");
    }
}
