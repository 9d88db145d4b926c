//! Queues: create, info, update, list, delete.

use serde_json::{Value, json};

use crate::server::{PROJECT, Server};

const NOT_FOUND: (u16, &str) = (404, r#"{"msg":"Queue not found"}"#);

fn names(server: &Server, query: &str) -> Vec<String> {
    let queues = server.get(&format!("queues{query}")).json()["queues"].clone();
    let name = |queue: &Value| queue["name"].as_str().unwrap().to_owned();
    queues.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_new_queue_has_the_defaults_and_is_returned_without_sizes() {
    let server = Server::start();
    for (queue, body) in [("a", ""), ("b", "{}"), ("c", r#"{"queue":{}}"#)] {
        let expected = format!(
            "{{\"queue\":{{\"project_id\":\"{PROJECT}\",\"name\":\"{queue}\",\"type\":\"pull\",\
             \"message_timeout\":60,\"message_expiration\":604800}}}}"
        );
        let response = server.request("PUT", &format!("queues/{queue}"), body);
        assert_eq!(response.status_and_text(), (200, expected.as_str()), "{body:?}");
    }
}

#[test]
fn a_queue_is_returned_with_its_sizes_and_its_info_without() {
    let server = Server::start();
    server.post_bodies("q", &["a", "b", "c"]);
    server.reserve("q", json!({"n": 1, "delete": true}));
    let queue = server.get("queues/q").json()["queue"].clone();
    assert_eq!((&queue["size"], &queue["total_messages"]), (&json!(2), &json!(3)));
    let info = server.get("queues/q/info").json()["queue"].clone();
    assert_eq!(info["name"], "q");
    assert_eq!((info.get("size"), info.get("total_messages")), (None, None));
}

#[test]
fn a_put_on_an_existing_queue_merges() {
    let server = Server::start();
    server.put("queues/q", json!({"queue": {"message_timeout": 90, "message_expiration": 3600}}));
    let response = server.put("queues/q", json!({"queue": {"message_timeout": 120}}));
    assert_eq!(response.status(), 200);
    let queue = response.json()["queue"].clone();
    assert_eq!(queue["message_timeout"], 120);
    assert_eq!(queue["message_expiration"], 3600);
}

#[test]
fn a_patch_changes_the_given_settings_and_returns_sizes() {
    let server = Server::start();
    server.put("queues/q", json!({"queue": {"message_timeout": 90}}));
    let response = server.patch("queues/q", json!({"queue": {"message_expiration": 3600}}));
    assert_eq!(response.status(), 200);
    let queue = response.json()["queue"].clone();
    assert_eq!(queue["message_timeout"], 90);
    assert_eq!(queue["message_expiration"], 3600);
    assert_eq!(queue["size"], 0);
    assert_eq!(queue["total_messages"], 0);
}

#[test]
fn a_patch_creates_a_missing_queue_unless_strict() {
    let patch = json!({"queue": {"message_timeout": 90}});
    let server = Server::start();
    assert_eq!(server.patch("queues/q", patch.clone()).status(), 200);
    assert_eq!(server.get("queues/q").json()["queue"]["message_timeout"], 90);

    let strict = Server::start_with(&["--strict"]);
    assert_eq!(strict.patch("queues/q", patch).status_and_text(), NOT_FOUND);
    assert_eq!(strict.get("queues/q").status_and_text(), NOT_FOUND);
}

#[test]
fn zero_settings_and_unknown_keys_change_nothing() {
    let server = Server::start();
    server.put("queues/q", json!({"queue": {"message_timeout": 90}}));
    let response = server.put(
        "queues/q",
        json!({
            "oauth": "secret",
            "queue": {
                "name": "", "size": 0, "total_messages": 0, "message_timeout": 0,
                "message_expiration": 0, "project_id": 5, "replicas": 3, "push": null,
                "dead_letter": null, "alerts": null,
            },
        }),
    );
    assert_eq!(response.status(), 200, "{}", response.text());
    let queue = response.json()["queue"].clone();
    assert_eq!(queue["name"], "q");
    assert_eq!(queue["message_timeout"], 90);
    assert_eq!(queue["message_expiration"], 604_800);
}

#[test]
fn settings_out_of_range_or_of_the_wrong_type_are_bad_requests() {
    let server = Server::start();
    for settings in [
        json!({"message_timeout": 86_401}),
        json!({"message_timeout": -1}),
        json!({"message_timeout": 1.5}),
        json!({"message_timeout": "soon"}),
        json!({"message_expiration": 2_592_001}),
        json!({"type": "queue"}),
        json!({"type": 5}),
        json!({"dead_letter": "dead"}),
        json!({"dead_letter": {"queue_name": "dead", "max_reservations": 1001}}),
        json!({"dead_letter": {"max_reservations": 5}}),
        json!({"dead_letter": {"queue_name": "a\nb"}}),
        json!([]),
        json!("q"),
    ] {
        let response = server.put("queues/q", json!({ "queue": settings }));
        assert_eq!(response.status(), 400, "{settings}");
        assert!(!response.msg().is_empty());
    }
    assert_eq!(
        server.get("queues/q").status_and_text(),
        NOT_FOUND,
        "a refused request creates nothing"
    );
}

#[test]
fn the_type_of_a_queue_cannot_be_changed() {
    let server = Server::start();
    server.put("queues/q", json!({"queue": {"type": "pull"}}));
    assert_eq!(server.put("queues/q", json!({"queue": {"type": "pull"}})).status(), 200);
    let subscribers = json!([{"name": "s", "url": "http://127.0.0.1/"}]);
    for change in [
        json!({"type": "multicast"}),
        json!({"type": "unicast", "push": {"subscribers": subscribers}}),
    ] {
        assert_eq!(server.patch("queues/q", json!({ "queue": change })).status(), 403, "{change}");
    }
    assert_eq!(server.get("queues/q").json()["queue"]["type"], "pull");
}

#[test]
fn a_queue_is_deleted_with_its_messages() {
    let server = Server::start();
    server.post_bodies("q", &["a"]);
    let response = server.delete("queues/q", json!({"oauth": "x"}));
    assert_eq!(response.status_and_text(), (200, r#"{"msg":"Deleted."}"#), "with a full stop");
    assert_eq!(server.get("queues/q").status_and_text(), NOT_FOUND);
    assert_eq!(server.request("DELETE", "queues/q", "").status_and_text(), NOT_FOUND);
    server.put("queues/q", json!({}));
    assert_eq!(server.size("q"), 0);
}

#[test]
fn only_posts_and_settings_create_a_queue() {
    let server = Server::start();
    let reserved = r#"{"reservation_id":"0123456789abcdef0123456789abcdef"}"#;
    for (verb, path, body) in [
        ("GET", "queues/q", ""),
        ("GET", "queues/q/info", ""),
        ("DELETE", "queues/q", ""),
        ("GET", "queues/q/messages", ""),
        ("DELETE", "queues/q/messages", "{}"),
        ("DELETE", "queues/q/messages", r#"{"ids":["1"]}"#),
        ("POST", "queues/q/reservations", r#"{"wait":30}"#),
        ("GET", "queues/q/messages/1", ""),
        ("DELETE", "queues/q/messages/1", ""),
        ("POST", "queues/q/messages/1/touch", reserved),
        ("POST", "queues/q/messages/1/release", reserved),
        ("GET", "queues/q/messages/1/subscribers", ""),
        ("POST", "queues/q/subscribers", r#"{"subscribers":[{"name":"s","url":"http://x/"}]}"#),
        ("DELETE", "queues/q/alerts", r#"{"alerts":[]}"#),
    ] {
        assert_eq!(server.request(verb, path, body).status_and_text(), NOT_FOUND, "{verb} {path}");
    }
    server.post_bodies("posted", &["a"]);
    server.request("POST", "queues/hooked/webhook", "a");
    assert_eq!(names(&server, ""), ["hooked", "posted"]);
}

#[test]
fn a_list_contains_names_only_in_ascending_order() {
    let server = Server::start();
    assert_eq!(server.get("queues").status_and_text(), (200, r#"{"queues":[]}"#));
    for name in ["b", "a", "B"] {
        server.put(&format!("queues/{name}"), json!({}));
    }
    let list = r#"{"queues":[{"name":"B"},{"name":"a"},{"name":"b"}]}"#;
    assert_eq!(server.get("queues").status_and_text(), (200, list));
}

#[test]
fn a_list_is_paged_by_the_last_name_and_filtered_by_prefix() {
    let server = Server::start();
    for name in ["x1", "x2", "x3", "y1"] {
        server.put(&format!("queues/{name}"), json!({}));
    }
    for (query, expected) in [
        ("?", &["x1", "x2", "x3", "y1"][..]),
        ("?per_page=2", &["x1", "x2"]),
        ("?per_page=2&previous=x2", &["x3", "y1"]),
        ("?previous=y1", &[]),
        ("?previous=x1zzz", &["x2", "x3", "y1"]),
        ("?previous=", &["x1", "x2", "x3", "y1"]),
        ("?prefix=y", &["y1"]),
        ("?prefix=x&previous=x1&per_page=1", &["x2"]),
        ("?page=1&prev=x1", &["x1", "x2", "x3", "y1"]),
        ("?per_page=0", &["x1", "x2", "x3", "y1"]),
    ] {
        assert_eq!(names(&server, query), expected, "{query}");
    }
    assert_eq!(server.get("queues?per_page=many").status(), 400);
}

#[test]
fn a_page_has_thirty_names_by_default_and_a_hundred_at_most() {
    let server = Server::start();
    for number in 0..120 {
        server.put(&format!("queues/{number:03}"), json!({}));
    }
    assert_eq!(names(&server, "").len(), 30);
    assert_eq!(names(&server, "?per_page=100").len(), 100);
    assert_eq!(names(&server, "?per_page=101").len(), 100, "too many are not refused");
}

#[test]
fn names_are_sent_as_one_percent_encoded_segment() {
    let server = Server::start();
    for (segment, name) in [
        ("two%20words", "two words"),
        ("a+b", "a+b"),
        ("a%2Fb", "a/b"),
        ("x:=y", "x:=y"),
        ("%C3%BCber%E4%BB%BB", "über任"),
        ("%25", "%"),
    ] {
        let queue = server.put(&format!("queues/{segment}"), json!({})).json()["queue"].clone();
        assert_eq!(queue["name"], name);
        server.post_bodies(segment, &["a"]);
        assert_eq!(server.size(segment), 1, "{name}");
        assert_eq!(server.delete(&format!("queues/{segment}/"), json!({})).status(), 200);
    }
    assert_eq!(names(&server, ""), [""; 0]);
}

#[test]
fn a_dead_letter_rule_is_reported_only_while_it_is_set() {
    let server = Server::start();
    let rule =
        |response: crate::http::Response| response.json()["queue"].get("dead_letter").cloned();
    assert_eq!(rule(server.put("queues/q", json!({}))), None);
    for (change, expected) in [
        (json!({"queue_name": "d"}), Some(json!({"queue_name": "d", "max_reservations": 10}))),
        (json!({"max_reservations": 3}), Some(json!({"queue_name": "d", "max_reservations": 3}))),
        (json!({}), Some(json!({"queue_name": "d", "max_reservations": 3}))),
        (
            json!({"queue_name": "e", "max_reservations": 0}),
            Some(json!({"queue_name": "e", "max_reservations": 3})),
        ),
        (json!({"queue_name": "", "max_reservations": 5}), None),
    ] {
        let response = server.put("queues/q", json!({"queue": {"dead_letter": change}}));
        assert_eq!(rule(response), expected, "{change}");
    }
}

#[test]
fn a_message_reserved_too_often_moves_to_the_dead_letter_queue() {
    let server = Server::start();
    let rule = json!({"queue_name": "dead", "max_reservations": 1});
    server.put("queues/q", json!({"queue": {"dead_letter": rule}}));
    let ids = server.post_bodies("q", &["a"]);
    let (id, reservation) = server.reserve_one("q");
    let release = json!({ "reservation_id": reservation });
    assert_eq!(server.post(&format!("queues/q/messages/{id}/release"), release).status(), 200);

    assert_eq!(server.reserve("q", json!({})), [] as [Value; 0]);
    assert_eq!(server.size("q"), 0);
    let dead = server.get("queues/dead/messages").json()["messages"].clone();
    assert_eq!(dead, json!([{"id": ids[0], "body": "a", "reserved_count": 1}]));
}
