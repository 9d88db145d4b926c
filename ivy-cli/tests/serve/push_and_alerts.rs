//! Settings that are stored and returned, and have no effect.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::server::Server;

const UPDATED: (u16, &str) = (200, r#"{"msg":"Updated"}"#);

fn push_queue(server: &Server) {
    let push = json!({"subscribers": [{"name": "a", "url": "http://127.0.0.1/a"}]});
    let response = server.put("queues/q", json!({"queue": {"push": push}}));
    assert_eq!(response.status(), 200, "{}", response.text());
}

fn push(server: &Server) -> Value {
    server.get("queues/q").json()["queue"]["push"].clone()
}

#[test]
fn subscribers_make_a_multicast_queue_and_all_of_its_push_settings_are_reported() {
    let server = Server::start();
    push_queue(&server);
    let queue = server.get("queues/q").json()["queue"].clone();
    assert_eq!(queue["type"], "multicast");
    assert_eq!(
        queue["push"],
        json!({
            "subscribers": [{"name": "a", "url": "http://127.0.0.1/a"}],
            "retries": 3, "retries_delay": 60, "error_queue": "",
        })
    );
}

#[test]
fn that_nothing_is_pushed_is_logged_once() {
    let mut server = Server::start();
    server.put("queues/pull", json!({}));
    push_queue(&server);
    push_queue(&server);
    server.signal(Signal::TERM);
    server.wait();
    assert_eq!(
        server.error_output(),
        "ivy serve: push queues are stored and returned, but nothing is pushed to subscribers\n"
    );
}

#[test]
fn push_settings_merge() {
    let server = Server::start();
    push_queue(&server);
    server.patch("queues/q", json!({"queue": {"push": {"retries": 0, "error_queue": "e"}}}));
    server.patch("queues/q", json!({"queue": {"push": {"retries_delay": 30}}}));
    let push = push(&server);
    assert_eq!(push["retries"], 0);
    assert_eq!(push["retries_delay"], 30);
    assert_eq!(push["error_queue"], "e");
    assert_eq!(push["subscribers"][0]["name"], "a");
}

#[test]
fn subscribers_are_added_replaced_and_removed_by_name() {
    let server = Server::start();
    push_queue(&server);
    let path = "queues/q/subscribers";
    let subscriber = |name: &str, url: &str| json!({"name": name, "url": url});
    let urls = || {
        let subscribers = push(&server)["subscribers"].as_array().unwrap().clone();
        subscribers.iter().map(|one| one["url"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };

    let body = json!({"subscribers": [subscriber("b", "http://b/"), subscriber("a", "http://a/")]});
    assert_eq!(server.post(path, body).status_and_text(), UPDATED);
    assert_eq!(urls(), ["http://a/", "http://b/"]);

    let body = json!({"subscribers": [{"name": "a"}]});
    assert_eq!(server.delete(path, body).status_and_text(), UPDATED);
    assert_eq!(urls(), ["http://b/"]);

    let headers = json!({"name": "c", "url": "http://c/", "headers": {"X-Key": "v"}});
    assert_eq!(server.put(path, json!({ "subscribers": [headers] })).status_and_text(), UPDATED);
    assert_eq!(push(&server)["subscribers"], json!([headers]));
}

#[test]
fn a_push_queue_keeps_at_least_one_subscriber() {
    let server = Server::start();
    push_queue(&server);
    let msg = "Push queues must have at least one subscriber";
    for response in [
        server.delete("queues/q/subscribers", json!({"subscribers": [{"name": "a"}]})),
        server.put("queues/q/subscribers", json!({"subscribers": []})),
        server.patch("queues/q", json!({"queue": {"push": {"subscribers": []}}})),
        server.put("queues/new", json!({"queue": {"type": "unicast"}})),
    ] {
        assert_eq!((response.status(), response.msg().as_str()), (400, msg));
    }
    assert_eq!(push(&server)["subscribers"].as_array().unwrap().len(), 1);
}

#[test]
fn settings_that_do_not_suit_the_type_of_a_queue_are_bad_requests() {
    let server = Server::start();
    push_queue(&server);
    server.put("queues/pull", json!({}));
    let subscribers = json!([{"name": "a", "url": "http://127.0.0.1/"}]);
    let alert = json!({"type": "fixed", "trigger": 1, "queue": "x"});
    for response in [
        server.patch("queues/q", json!({"queue": {"dead_letter": {"queue_name": "d"}}})),
        server.patch("queues/q", json!({"queue": {"alerts": [alert]}})),
        server.post("queues/q/alerts", json!({"alerts": [alert]})),
        server.patch("queues/pull", json!({"queue": {"push": {"subscribers": subscribers}}})),
        server.post("queues/pull/subscribers", json!({ "subscribers": subscribers })),
    ] {
        assert_eq!(response.status(), 400, "{}", response.text());
    }
}

#[test]
fn malformed_push_settings_are_bad_requests() {
    let server = Server::start();
    push_queue(&server);
    for push in [
        json!({"retries": 101}),
        json!({"retries_delay": 2}),
        json!({"retries_delay": 86_401}),
        json!({"subscribers": [{"name": "a"}]}),
        json!({"subscribers": [{"url": "http://127.0.0.1/"}]}),
        json!({"subscribers": [{"name": "a", "url": "http://127.0.0.1/", "headers": {"X": 5}}]}),
        json!({"subscribers": "a"}),
    ] {
        let response = server.patch("queues/q", json!({"queue": {"push": push}}));
        assert_eq!(response.status(), 400, "{push}");
    }
    assert_eq!(server.post("queues/q/subscribers", json!({})).status(), 400);
    assert_eq!(server.delete("queues/q/subscribers", json!({})).status(), 400);
}

#[test]
fn the_subscribers_of_a_message_are_listed_as_not_yet_tried() {
    let server = Server::start();
    push_queue(&server);
    server.patch("queues/q", json!({"queue": {"push": {"retries": 5}}}));
    let id = server.post_bodies("q", &["a"]).remove(0);
    let response = server.get(&format!("queues/q/messages/{id}/subscribers"));
    let expected = json!({
        "name": "a", "subscriber_name": "a", "url": "http://127.0.0.1/a",
        "tries": 0, "retries_remaining": 5,
    });
    assert_eq!((response.status(), response.json()), (200, json!({"subscribers": [expected]})));
    let missing = server.get("queues/q/messages/1/subscribers");
    assert_eq!(missing.status_and_text(), (404, r#"{"msg":"Message not found"}"#));
}

#[test]
fn unicast_and_pull_queues_list_no_untried_subscribers() {
    let server = Server::start();
    let push = json!({"subscribers": [{"name": "a", "url": "http://127.0.0.1/a"}]});
    server.put("queues/one", json!({"queue": {"type": "unicast", "push": push}}));
    for queue in ["one", "pull"] {
        let id = server.post_bodies(queue, &["a"]).remove(0);
        let response = server.get(&format!("queues/{queue}/messages/{id}/subscribers"));
        assert_eq!(response.status_and_text(), (200, r#"{"subscribers":[]}"#), "{queue}");
    }
}

#[test]
fn a_reserve_returns_no_message_of_a_push_queue() {
    let server = Server::start();
    push_queue(&server);
    server.post_bodies("q", &["a"]);
    for request in [json!({}), json!({"n": 10, "wait": 1}), json!({"delete": true})] {
        assert_eq!(server.reserve("q", request.clone()), [] as [Value; 0], "{request}");
    }
    assert_eq!(server.peek("q"), ["a"]);
}

#[test]
fn a_recreated_queue_has_none_of_the_old_settings() {
    let server = Server::start();
    push_queue(&server);
    server.delete("queues/q", json!({}));
    let queue = server.put("queues/q", json!({})).json()["queue"].clone();
    assert_eq!((&queue["type"], queue.get("push")), (&json!("pull"), None));
}

#[test]
fn alerts_are_added_replaced_and_deleted_by_id() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    let alerts = || server.get("queues/q").json()["queue"].get("alerts").cloned();
    let status_and_msg = |response: crate::http::Response| (response.status(), response.msg());
    assert_eq!(alerts(), None);

    let fixed = json!({"type": "fixed", "trigger": 10, "queue": "x"});
    let progressive = json!({
        "type": "progressive", "trigger": 5, "direction": "desc", "queue": "x", "snooze": 60,
    });
    let response = server.post("queues/q/alerts", json!({"alerts": [fixed, progressive]}));
    assert_eq!(status_and_msg(response), (200, "Alerts were added.".into()));
    let stored = alerts().unwrap();
    assert_eq!(stored[0]["direction"], "asc");
    assert_eq!(stored[0]["snooze"], 0);
    assert_eq!(stored[1]["direction"], "desc");

    let id = stored[0]["id"].as_str().unwrap();
    let response = server.request("DELETE", &format!("queues/q/alerts/{id}"), "");
    assert_eq!(status_and_msg(response), (200, "Alerts were deleted.".into()));
    let response = server.request("DELETE", &format!("queues/q/alerts/{id}"), "");
    assert_eq!(status_and_msg(response), (404, "Alert not found".into()));

    let response = server.put("queues/q/alerts", json!({"alerts": [fixed]}));
    assert_eq!(status_and_msg(response), (200, "Alerts were replaced.".into()));
    let stored = alerts().unwrap();
    assert_eq!(stored.as_array().unwrap().len(), 1);

    let response = server.delete("queues/q/alerts", json!({"alerts": [{"id": stored[0]["id"]}]}));
    assert_eq!(status_and_msg(response), (200, "Alerts were deleted.".into()));
    assert_eq!(alerts(), None);
}

#[test]
fn alerts_can_be_set_with_the_settings_of_a_queue() {
    let server = Server::start();
    let alert = json!({"type": "fixed", "trigger": 10, "queue": "x"});
    let response = server.put("queues/q", json!({"queue": {"alerts": [alert]}}));
    assert_eq!(response.json()["queue"]["alerts"][0]["trigger"], 10);
    let response = server.patch("queues/q", json!({"queue": {"message_timeout": 90}}));
    assert_eq!(response.json()["queue"]["alerts"].as_array().unwrap().len(), 1, "others remain");
    let response = server.patch("queues/q", json!({"queue": {"alerts": []}}));
    assert_eq!(response.json()["queue"].get("alerts"), None);
}

#[test]
fn malformed_alerts_are_bad_requests() {
    let server = Server::start();
    server.put("queues/q", json!({}));
    for alert in [
        json!({}),
        json!("a"),
        json!({"type": "sometimes", "trigger": 1, "queue": "x"}),
        json!({"type": "fixed", "queue": "x"}),
        json!({"type": "fixed", "trigger": 0, "queue": "x"}),
        json!({"type": "fixed", "trigger": 1}),
        json!({"type": "fixed", "trigger": 1, "queue": "x", "direction": "up"}),
        json!({"type": "fixed", "trigger": 1, "queue": "x", "snooze": -1}),
    ] {
        let response = server.post("queues/q/alerts", json!({"alerts": [alert]}));
        assert_eq!(response.status(), 400, "{alert}");
    }
    for (verb, body) in [("POST", "{}"), ("PUT", ""), ("DELETE", "{}")] {
        assert_eq!(server.request(verb, "queues/q/alerts", body).status(), 400, "{verb}");
    }
}

#[test]
fn a_message_may_have_five_push_headers_of_limited_size_and_none_that_ironmq_sets() {
    let server = Server::start();
    let post = |headers: Value| {
        let message = json!({"body": "a", "push_headers": headers});
        server.post("queues/pushed/messages", json!({"messages": [message]})).status()
    };
    let many = |count: u8| Value::from_iter((0..count).map(|n| (format!("X-{n}"), "v".to_owned())));
    for good in [json!({}), many(5), json!({"x".repeat(64): "v".repeat(1024)})] {
        assert_eq!(post(good.clone()), 201, "{good}");
    }
    for bad in [
        many(6),
        json!({"": "v"}),
        json!({"X": ""}),
        json!({"x".repeat(65): "v"}),
        json!({"X": "v".repeat(1025)}),
        json!({"X": 5}),
        json!({"content-type": "text/plain"}),
        json!({"Iron-Message-Id": "1"}),
        json!(["X"]),
    ] {
        assert_eq!(post(bad.clone()), 400, "{bad}");
    }
    assert_eq!(server.size("pushed"), 3);
}
