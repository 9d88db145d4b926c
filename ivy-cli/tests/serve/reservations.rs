//! Reservations: reserve, touch, release.

use serde_json::{Value, json};

use crate::server::{Server, bodies};

const RELEASED: (u16, &str) = (200, r#"{"msg":"Released"}"#);
const NOT_FOUND: (u16, &str) = (404, r#"{"msg":"Message not found"}"#);
const NO_RESERVATION: (u16, &str) = (400, r#"{"msg":"A reservation_id is required"}"#);
const TIMED_OUT: (u16, &str) = (403, r#"{"msg":"Reservation timed out"}"#);

#[test]
fn a_reserve_returns_messages_in_order_with_a_reservation_each() {
    let server = Server::start();
    let ids = server.post_bodies("q", &["a", "b", "c"]);
    let messages = server.reserve("q", json!({"n": 2}));
    for (message, (id, body)) in messages.iter().zip([(&ids[0], "a"), (&ids[1], "b")]) {
        let reservation = message["reservation_id"].as_str().unwrap();
        assert_eq!(reservation.len(), 32);
        assert!(reservation.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        assert_eq!(
            *message,
            json!({"id": id, "body": body, "reserved_count": 1, "reservation_id": reservation})
        );
    }
    assert_eq!(messages.len(), 2);
    assert_ne!(messages[0]["reservation_id"], messages[1]["reservation_id"]);
}

#[test]
fn a_reserve_takes_one_message_by_default() {
    let server = Server::start();
    for body in ["", "{}", r#"{"n":0,"timeout":0,"wait":0,"delete":false}"#, r#"{"n":null}"#] {
        server.post_bodies("q", &["a", "b"]);
        let response = server.request("POST", "queues/q/reservations", body);
        assert_eq!(bodies(&response.json()["messages"]), ["a"], "{body}");
        server.request("DELETE", "queues/q/messages", "");
    }
}

#[test]
fn a_reserve_of_an_empty_queue_returns_an_empty_list() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    let response = server.request("POST", "queues/q/reservations", "{}");
    assert_eq!(response.status_and_text(), (200, r#"{"messages":[]}"#));
    let response = server.request("POST", "queues/q/reservations?wait=30", "{}");
    assert_eq!(
        response.status_and_text(),
        (200, r#"{"messages":[]}"#),
        "wait is not read from the query"
    );
}

#[test]
fn a_reserve_out_of_range_is_a_bad_request() {
    let server = Server::start();
    server.post_bodies("q", &["a"]);
    for body in [
        json!({"n": 101}),
        json!({"n": -1}),
        json!({"n": "many"}),
        json!({"n": 1.5}),
        json!({"wait": 31}),
        json!({"wait": -1}),
        json!({"timeout": 86_401}),
        json!({"timeout": true}),
        json!({"delete": "yes"}),
    ] {
        assert_eq!(server.post("queues/q/reservations", body.clone()).status(), 400, "{body}");
    }
    assert_eq!(server.peek("q"), ["a"], "nothing was reserved");
}

#[test]
fn short_reservations_are_granted_unless_strict() {
    let server = Server::start();
    server.post_bodies("q", &["a"]);
    assert_eq!(server.reserve("q", json!({"timeout": 1})).len(), 1);

    let strict = Server::start_with(&["--strict"]);
    strict.post_bodies("q", &["a"]);
    for (timeout, status) in [(1, 400), (29, 400), (30, 200)] {
        let response = strict.post("queues/q/reservations", json!({ "timeout": timeout }));
        assert_eq!(response.status(), status, "{timeout}");
    }
}

#[test]
fn numbers_written_as_strings_are_accepted_unless_strict() {
    let body = json!({"n": "1", "timeout": "60", "wait": "0"});
    for (options, status) in [(&[][..], 200), (&["--strict"], 400)] {
        let server = Server::start_with(options);
        server.post_bodies("q", &["a"]);
        assert_eq!(server.post("queues/q/reservations", body.clone()).status(), status);
    }
}

#[test]
fn a_reservation_ends_after_its_timeout_and_the_message_returns() {
    let server = Server::start();
    server.post_bodies("q", &["a"]);
    let first = server.reserve("q", json!({"timeout": 1}));
    let second = server.reserve("q", json!({"wait": 30}));
    assert_eq!(second[0]["id"], first[0]["id"]);
    assert_eq!(second[0]["reserved_count"], 2);
    let late = json!({"reservation_id": first[0]["reservation_id"]});
    let path = format!("queues/q/messages/{}", first[0]["id"].as_str().unwrap());
    assert_eq!(server.delete(&path, late).status_and_text(), TIMED_OUT);
}

#[test]
fn a_reserve_with_delete_removes_messages() {
    let server = Server::start();
    server.post_bodies("q", &["a"]);
    let messages = server.reserve("q", json!({"delete": true}));
    assert_eq!(messages[0]["body"], "a");
    let id = messages[0]["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("queues/q/messages/{id}")).status_and_text(), NOT_FOUND);
    assert_eq!(server.size("q"), 0);
}

#[test]
fn a_touch_replaces_the_reservation() {
    let server = Server::start();
    server.post_bodies("q", &["a"]);
    let (id, old) = server.reserve_one("q");
    let path = format!("queues/q/messages/{id}");
    let touch = |reservation: &str, timeout: Value| {
        let body = json!({"reservation_id": reservation, "timeout": timeout});
        server.post(&format!("{path}/touch"), body)
    };

    let response = touch(&old, json!(120));
    let new = response.json()["reservation_id"].as_str().unwrap().to_owned();
    let expected = format!("{{\"reservation_id\":\"{new}\",\"msg\":\"Touched\"}}");
    assert_eq!(response.status_and_text(), (200, expected.as_str()));
    assert_ne!(new, old);
    assert_eq!(server.get(&path).json()["message"]["reserved_count"], 2);

    assert_eq!(touch(&old, json!(120)).status_and_text(), TIMED_OUT);
    assert_eq!(touch(&new, json!(0)).status(), 200);
}

#[test]
fn a_touch_needs_a_valid_reservation() {
    let server = Server::start();
    let id = server.post_bodies("q", &["a"]).remove(0);
    let path = format!("queues/q/messages/{id}/touch");
    assert_eq!(server.request("POST", &path, "").status_and_text(), NO_RESERVATION);
    assert_eq!(server.post(&path, json!({"reservation_id": ""})).status_and_text(), NO_RESERVATION);
    let other = json!({"reservation_id": "0".repeat(32)});
    assert_eq!(server.post(&path, other.clone()).status_and_text(), TIMED_OUT);
    let missing = "queues/q/messages/1999999999999999999/touch";
    assert_eq!(server.post(missing, other).status_and_text(), NOT_FOUND);
}

#[test]
fn a_released_message_is_first_again() {
    let server = Server::start();
    server.post_bodies("q", &["a", "b"]);
    let (id, reservation) = server.reserve_one("q");
    let path = format!("queues/q/messages/{id}");
    let body = json!({"reservation_id": reservation, "delay": 0});
    assert_eq!(server.post(&format!("{path}/release"), body.clone()).status_and_text(), RELEASED);
    assert_eq!(server.peek("q"), ["a", "b"]);
    assert_eq!(server.post(&format!("{path}/release"), body.clone()).status_and_text(), TIMED_OUT);
    assert_eq!(
        server.delete(&path, body).status_and_text(),
        TIMED_OUT,
        "the reservation ended with it"
    );
}

#[test]
fn a_released_message_goes_behind_the_others_if_the_server_is_configured_so() {
    let server = Server::start_with(&["--requeue", "back"]);
    server.post_bodies("q", &["first", "second"]);
    let (id, reservation) = server.reserve_one("q");
    let path = format!("queues/q/messages/{id}/release");
    let body = json!({ "reservation_id": reservation });
    assert_eq!(server.post(&path, body).status_and_text(), RELEASED);
    assert_eq!(server.peek("q"), ["second", "first"]);
}

#[test]
fn a_message_released_with_a_delay_is_ready_after_that_time() {
    let server = Server::start();
    server.post_bodies("q", &["a"]);
    let (id, reservation) = server.reserve_one("q");
    let path = format!("queues/q/messages/{id}/release");
    let body = json!({"reservation_id": reservation, "delay": 604_801});
    assert_eq!(server.post(&path, body).status(), 400);
    let body = json!({"reservation_id": reservation, "delay": 604_800});
    assert_eq!(server.post(&path, body).status_and_text(), RELEASED);
    assert_eq!(server.peek("q"), [""; 0]);
    assert_eq!(server.size("q"), 1);
}

#[test]
fn a_release_needs_a_valid_reservation() {
    let server = Server::start();
    let id = server.post_bodies("q", &["a"]).remove(0);
    let path = format!("queues/q/messages/{id}/release");
    assert_eq!(server.request("POST", &path, "{}").status_and_text(), NO_RESERVATION);
    let other = json!({"reservation_id": "0".repeat(32)});
    assert_eq!(server.post(&path, other).status_and_text(), TIMED_OUT);
}
