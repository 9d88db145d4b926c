//! Messages: post, peek, get, delete.

use serde_json::json;

use crate::server::Server;

const DELETED: (u16, &str) = (200, r#"{"msg":"Deleted"}"#);
const CLEARED: (u16, &str) = (200, r#"{"msg":"Cleared"}"#);
const NOT_FOUND: (u16, &str) = (404, r#"{"msg":"Message not found"}"#);
const NO_RESERVATION: (u16, &str) = (400, r#"{"msg":"A reservation_id is required"}"#);
const TIMED_OUT: (u16, &str) = (403, r#"{"msg":"Reservation timed out"}"#);

#[test]
fn a_post_returns_ids_of_nineteen_digits_in_order() {
    let server = Server::start();
    let response = server
        .post("queues/q/messages", json!({"messages": [{"body": "a"}, {"body": "b", "delay": 0}]}));
    let ids = response.json()["ids"].as_array().unwrap().clone();
    let expected =
        format!("{{\"ids\":[{},{}],\"msg\":\"Messages put on queue.\"}}", ids[0], ids[1]);
    assert_eq!(response.status_and_text(), (201, expected.as_str()));
    let ids: Vec<_> = ids.iter().map(|id| id.as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| id.len() == 19 && id.bytes().all(|byte| byte.is_ascii_digit())));
    assert!(ids[0] < ids[1]);
}

#[test]
fn bodies_of_any_text_come_back_unchanged() {
    let server = Server::start();
    let texts =
        ["", "plain", "{\"json\":[1,\"\\\"\"]}", "über 任务 🦀", "a\u{0}\u{1f}\r\n\u{2028}"];
    server.post_bodies("q", &texts);
    assert_eq!(server.peek("q"), texts);
}

#[test]
fn escapes_do_not_change_a_body() {
    let server = Server::start();
    let bodies = r#"{"messages":[{"body":"\u00fcber \/ \ud83e\udd80"},{"\u0062ody":"\"\b\f\t"}]}"#;
    assert_eq!(server.request("POST", "queues/q/messages", bodies).status(), 201);
    assert_eq!(server.peek("q"), ["über / 🦀", "\"\u{8}\u{c}\t"]);
}

#[test]
fn the_size_of_a_body_is_that_of_its_unescaped_text() {
    let server = Server::start();
    let post = |length: usize| {
        let body = format!("{{\"messages\":[{{\"body\":\"{}\"}}]}}", "\\u0061".repeat(length));
        server.request("POST", "queues/q/messages", body).status()
    };
    assert_eq!(post(256 * 1024), 201);
    assert_eq!(post(256 * 1024 + 1), 400);
}

#[test]
fn a_hundred_messages_fit_in_a_post() {
    let server = Server::start();
    assert_eq!(server.post_bodies("q", &["x"; 100]).len(), 100);
    let messages = json!({ "messages": vec![json!({"body": "x"}); 101] });
    assert_eq!(server.post("queues/q/messages", messages).status(), 400);
    assert_eq!(server.size("q"), 100);
}

#[test]
fn unknown_keys_of_a_post_are_ignored() {
    let server = Server::start();
    let message = json!({
        "body": "a", "reserved_until": "0001-01-01T00:00:00Z", "timeout": 60, "expires_in": 60,
        "id": "", "reserved_count": 0, "push_headers": null, "delay": null,
    });
    let response = server.post("queues/q/messages", json!({"messages": [message], "oauth": "x"}));
    assert_eq!(response.status(), 201, "{}", response.text());
}

#[test]
fn an_invalid_post_is_a_bad_request_and_stores_nothing() {
    let server = Server::start();
    for body in [
        json!({}),
        json!({"messages": null}),
        json!({"messages": []}),
        json!({"messages": {}}),
        json!({"messages": "a"}),
        json!({"messages": ["a"]}),
        json!({"messages": [["a"]]}),
        json!({"messages": [{}]}),
        json!({"messages": [{"body": null}]}),
        json!({"messages": [{"body": 5}]}),
        json!({"messages": [{"body": {"a": 1}}]}),
        json!({"messages": [{"body": "a", "delay": -1}]}),
        json!({"messages": [{"body": "a", "delay": 604_801}]}),
        json!({"messages": [{"body": "a", "delay": 0.5}]}),
        json!({"messages": [{"body": "a"}, {"body": "b", "delay": "soon"}]}),
        json!({"messages": [{"body": "a"}, {"body": "x".repeat(256 * 1024 + 1)}]}),
    ] {
        let response = server.post("queues/q/messages", body.clone());
        assert_eq!(response.status(), 400, "{body}");
        assert!(!response.msg().is_empty());
    }
    assert_eq!(server.get("queues/q").status(), 404);
}

#[test]
fn a_message_of_the_maximum_size_is_stored() {
    let server = Server::start();
    let body = "x".repeat(256 * 1024);
    server.post_bodies("q", &[&body]);
    assert_eq!(server.peek("q"), [body]);
}

#[test]
fn a_delayed_message_is_counted_at_once_and_ready_later() {
    let server = Server::start();
    server.post("queues/q/messages", json!({"messages": [{"body": "later", "delay": 1}]}));
    assert_eq!(server.size("q"), 1);
    // The response comes as soon as the message is ready, never earlier.
    let messages = server.reserve("q", json!({"wait": 30}));
    assert_eq!(messages[0]["body"], "later");
}

#[test]
fn a_webhook_accepts_any_text_as_one_message() {
    let server = Server::start();
    for body in ["{\"not\": \"read\"", "plain", ""] {
        let response = server.request("POST", "queues/q/webhook", body);
        assert_eq!(response.status(), 201, "{body:?}");
        assert_eq!(response.msg(), "Messages put on queue.");
        assert_eq!(response.json()["ids"].as_array().unwrap().len(), 1);
    }
    assert_eq!(server.peek("q"), ["{\"not\": \"read\"", "plain", ""]);
    assert_eq!(server.request("POST", "queues/q/webhook", b"\xff\xfe").status(), 400);
}

#[test]
fn a_peek_shows_ready_messages_in_order_and_reserves_none() {
    let server = Server::start();
    let ids = server.post_bodies("q", &["a", "b", "c"]);
    server.reserve("q", json!({"n": 1}));
    for _ in 0..2 {
        let response = server.get("queues/q/messages?n=2");
        let messages = json!({"messages": [
            {"id": ids[1], "body": "b", "reserved_count": 0},
            {"id": ids[2], "body": "c", "reserved_count": 0},
        ]});
        assert_eq!((response.status(), response.json()), (200, messages));
    }
}

#[test]
fn a_peek_reads_its_count_from_the_query_or_else_from_the_body() {
    let server = Server::start();
    server.post_bodies("q", &["x"; 5]);
    for (query, body, count) in [
        ("", "", 1),
        ("?n=0", "", 1),
        ("?n=", "", 1),
        ("?n=3", "", 3),
        ("", r#"{"n":2}"#, 2),
        ("?n=3", r#"{"n":2}"#, 3),
        ("?n=100", "{}", 5),
    ] {
        let response = server.request("GET", &format!("queues/q/messages{query}"), body);
        let messages = response.json()["messages"].as_array().unwrap().len();
        assert_eq!(messages, count, "{query} {body}");
    }
    for query in ["?n=101", "?n=-1", "?n=x"] {
        assert_eq!(server.get(&format!("queues/q/messages{query}")).status(), 400, "{query}");
    }
}

#[test]
fn a_peek_at_an_empty_queue_returns_an_empty_list() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    assert_eq!(server.get("queues/q/messages").status_and_text(), (200, r#"{"messages":[]}"#));
}

#[test]
fn a_message_is_found_by_its_id_reserved_or_not() {
    let server = Server::start();
    let id = server.post_bodies("q", &["a"]).remove(0);
    let path = format!("queues/q/messages/{id}");
    let expected = |count| json!({"message": {"id": id, "body": "a", "reserved_count": count}});
    assert_eq!((server.get(&path).status(), server.get(&path).json()), (200, expected(0)));
    server.reserve("q", json!({}));
    assert_eq!(server.get(&path).json(), expected(1), "and its reservation is not shown");
    server.request("DELETE", "queues/q/messages", "");
    assert_eq!(server.get(&path).status_and_text(), NOT_FOUND);
}

#[test]
fn an_unreserved_message_is_deleted_without_a_reservation() {
    let server = Server::start();
    for body in ["", "{}", r#"{"reservation_id":""}"#, r#"{"reservation_id":null}"#] {
        let id = server.post_bodies("q", &["a"]).remove(0);
        let path = format!("queues/q/messages/{id}");
        assert_eq!(server.request("DELETE", &path, body).status_and_text(), DELETED, "{body}");
        assert_eq!(server.request("DELETE", &path, body).status_and_text(), NOT_FOUND, "{body}");
    }
}

#[test]
fn a_reserved_message_is_deleted_with_its_reservation_only() {
    let server = Server::start();
    server.post_bodies("q", &["a"]);
    let (id, reservation) = server.reserve_one("q");
    let path = format!("queues/q/messages/{id}");
    assert_eq!(server.request("DELETE", &path, "").status_and_text(), NO_RESERVATION);
    assert_eq!(
        server.delete(&path, json!({"reservation_id": ""})).status_and_text(),
        NO_RESERVATION
    );
    let other = "0".repeat(32);
    assert_eq!(
        server.delete(&path, json!({ "reservation_id": other })).status_and_text(),
        TIMED_OUT
    );
    assert_eq!(server.delete(&path, json!({"reservation_id": 5})).status(), 400);
    let mine = json!({"reservation_id": reservation, "subscriber_name": "s"});
    assert_eq!(server.delete(&path, mine).status_and_text(), DELETED);
    assert_eq!(server.size("q"), 0);
}

#[test]
fn several_messages_are_deleted_by_objects_strings_or_numbers() {
    let server = Server::start();
    let ids = server.post_bodies("q", &["a", "b", "c", "d", "kept"]);
    let (reserved, reservation) = server.reserve_one("q");
    assert_eq!(reserved, ids[0]);
    let number: u64 = ids[3].parse().unwrap();
    let body = json!({"ids": [
        {"id": ids[0], "reservation_id": reservation, "subscriber_name": "s"},
        {"id": ids[1], "reservation_id": ""},
        ids[2],
        {"id": number},
    ]});
    assert_eq!(server.delete("queues/q/messages", body).status_and_text(), DELETED);
    assert_eq!(server.peek("q"), ["kept"]);
    assert_eq!(server.size("q"), 1);
}

#[test]
fn several_messages_are_deleted_all_or_none() {
    let server = Server::start();
    let ids = server.post_bodies("q", &["reserved", "ready"]);
    server.reserve("q", json!({"n": 1}));
    let delete = |ids| server.delete("queues/q/messages", json!({ "ids": ids }));
    assert_eq!(delete(json!([ids[1], ids[0]])).status_and_text(), NO_RESERVATION);
    let other = json!({"id": ids[0], "reservation_id": "0".repeat(32)});
    assert_eq!(delete(json!([ids[1], other])).status_and_text(), TIMED_OUT);
    assert_eq!(delete(json!([ids[1], "1999999999999999999"])).status_and_text(), NOT_FOUND);
    assert_eq!(server.size("q"), 2);
}

#[test]
fn invalid_ids_never_clear_a_queue() {
    let server = Server::start();
    server.post_bodies("q", &["a"]);
    for ids in [
        json!([]),
        json!(null),
        json!({}),
        json!("1"),
        json!([null]),
        json!([{}]),
        json!([{"id": null}]),
        json!([""]),
        json!([1.5]),
        json!([[]]),
    ] {
        let response = server.delete("queues/q/messages", json!({ "ids": ids }));
        assert_eq!(response.status(), 400, "{ids}");
    }
    let many = vec!["1"; 101];
    assert_eq!(server.delete("queues/q/messages", json!({ "ids": many })).status(), 400);
    for body in ["null", "[]", "5", "{"] {
        assert_eq!(server.request("DELETE", "queues/q/messages", body).status(), 400, "{body}");
    }
    assert_eq!(server.size("q"), 1);
}

#[test]
fn a_delete_without_ids_clears_reserved_messages_too() {
    let server = Server::start();
    for body in ["", "{}", r#"{"oauth":"x"}"#] {
        server.post_bodies("q", &["a", "b"]);
        server.reserve("q", json!({"n": 1}));
        assert_eq!(
            server.request("DELETE", "queues/q/messages", body).status_and_text(),
            CLEARED,
            "{body}"
        );
        assert_eq!(server.size("q"), 0);
    }
}
