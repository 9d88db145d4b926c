//! Long polls.

use serde_json::json;

use crate::http::Connection;
use crate::server::{Server, bodies, request};

/// A reserve that waits on a connection of its own.
fn poll(server: &Server, body: &str) -> Connection {
    let mut connection = server.connect();
    connection.send(request("POST", "queues/q/reservations", body));
    connection
}

#[test]
fn a_waiting_reserve_returns_no_message_when_its_time_is_over() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    let started = std::time::Instant::now();
    let response = server.post("queues/q/reservations", json!({"wait": 1}));
    assert_eq!(response.status_and_text(), (200, r#"{"messages":[]}"#));
    assert!(started.elapsed().as_secs_f64() >= 1.0, "not before its time");
}

#[test]
fn a_waiting_reserve_returns_a_message_as_soon_as_it_is_posted() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    let mut polling = poll(&server, r#"{"wait":30,"n":10}"#);
    server.post_bodies("q", &["a"]);
    assert_eq!(bodies(&polling.read().json()["messages"]), ["a"], "it does not wait for ten");
}

#[test]
fn a_waiting_reserve_returns_a_released_message() {
    let server = Server::start();
    server.post_bodies("q", &["a"]);
    let (id, reservation) = server.reserve_one("q");
    let mut polling = poll(&server, r#"{"wait":30}"#);
    let body = json!({ "reservation_id": reservation });
    server.post(&format!("queues/q/messages/{id}/release"), body);
    assert_eq!(bodies(&polling.read().json()["messages"]), ["a"]);
}

#[test]
fn a_waiting_reserve_fails_if_its_queue_is_deleted() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    let mut polling = poll(&server, r#"{"wait":30}"#);
    // The reserve may arrive before the deletion or after it: the response is the same.
    server.delete("queues/q", json!({}));
    assert_eq!(polling.read().status_and_text(), (404, r#"{"msg":"Queue not found"}"#));
}

#[test]
fn a_connection_is_usable_after_a_long_poll() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    let mut polling = poll(&server, r#"{"wait":30}"#);
    server.post_bodies("q", &["a"]);
    assert_eq!(polling.read().status(), 200);
    polling.send(request("GET", "queues/q", ""));
    assert_eq!(polling.read().status(), 200);
}

#[test]
fn two_thousand_waiting_reserves_get_a_message_each() {
    raise_file_limit();
    let server = Server::start();
    server.put("queues/q", json!({}));
    let mut polling: Vec<_> = (0..2_000).map(|_| poll(&server, r#"{"wait":30}"#)).collect();
    for _ in 0..20 {
        server.post_bodies("q", &["x"; 100]);
    }
    for connection in &mut polling {
        assert_eq!(bodies(&connection.read().json()["messages"]), ["x"]);
    }
    assert_eq!(server.peek("q"), [""; 0]);
}

#[test]
fn a_message_is_not_lost_to_clients_that_disconnected_while_waiting() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    for _ in 0..10 {
        // If a client that has just disconnected gets the message, it returns after a second.
        drop(poll(&server, r#"{"wait":30,"timeout":1}"#));
    }
    server.post_bodies("q", &["a"]);
    let mut left = 10;
    let body = loop {
        let messages = server.reserve("q", json!({"wait": 30, "timeout": 60}));
        match messages.first() {
            Some(message) => break message["body"].clone(),
            None => left -= 1,
        }
        assert!(left > 0, "the message is lost");
    };
    assert_eq!(body, "a");
}

#[test]
fn a_client_that_closes_its_sending_side_while_waiting_gets_a_response_at_once() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    let started = std::time::Instant::now();
    let mut polling = poll(&server, r#"{"wait":30}"#);
    polling.end_sending();
    assert_eq!(polling.read().status_and_text(), (200, r#"{"messages":[]}"#));
    assert!(started.elapsed().as_secs() < 30, "not after its full time");
    server.post_bodies("q", &["a"]);
    assert_eq!(server.reserve("q", json!({})).len(), 1, "it reserved no message");
}

#[cfg(any(target_os = "linux", target_os = "android"))]
#[test]
fn the_end_of_a_waiting_client_is_detected_behind_other_requests() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    let started = std::time::Instant::now();
    let mut polling = poll(&server, r#"{"wait":30}"#);
    for _ in 0..3 {
        polling.send(request("GET", "queues/q", ""));
    }
    polling.end_sending();
    assert_eq!(polling.read().status_and_text(), (200, r#"{"messages":[]}"#));
    assert!(started.elapsed().as_secs() < 30, "not after its full time");
    for _ in 0..3 {
        assert_eq!(polling.read().status(), 200);
    }
    assert_eq!(polling.read_to_end(), b"");
}

#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}
