//! Error responses, by status and operation.

use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::queue::{Effect, Fault, FaultKind, QueueOp, QueueReply};

use crate::support::*;

fn kinds(status: u16, body: &str, cases: &[(QueueOp, FaultKind)]) {
    for (op, expected) in cases {
        assert_eq!(kind(op, status, body), *expected, "{status} {op:?}");
    }
}

#[test]
fn wrong_credentials_are_reported_for_every_operation() {
    for op in all_ops() {
        let fault = fault(&op, 401, r#"{"msg":"Invalid project/token combination"}"#);
        assert_eq!(fault.kind(), FaultKind::Unauthorized);
        assert_eq!(fault.effect(), Effect::Refused);
        assert!(fault.to_string().contains("Invalid project/token combination"));
    }
}

#[test]
fn a_forbidden_operation_on_a_reserved_message_means_that_the_lease_is_lost() {
    use FaultKind::{LeaseLost, Refused, Unauthorized};
    let cases = [
        (delete(), LeaseLost),
        (delete_many(), LeaseLost),
        (touch(), LeaseLost),
        (release(), LeaseLost),
        (create_queue(), Refused),
        (post(&["a"]), Unauthorized),
        (reserve(1), Unauthorized),
        (get(), Unauthorized),
        (peek(), Unauthorized),
        (clear(), Unauthorized),
        (get_queue(), Unauthorized),
        (delete_queue(), Unauthorized),
        (list_queues(), Unauthorized),
    ];
    // The texts differ, and must not matter.
    for body in [r#"{"msg":"Reservation timed out"}"#, r#"{"msg":"Nope"}"#, "", "<html>"] {
        kinds(403, body, &cases);
    }
}

#[test]
fn what_is_missing_depends_on_the_operation() {
    use FaultKind::{NoMessage, NoQueue, Refused};
    let cases = [
        (delete(), NoMessage),
        (delete_many(), NoMessage),
        (touch(), NoMessage),
        (release(), NoMessage),
        (get(), NoMessage),
        (reserve(1), NoQueue),
        (peek(), NoQueue),
        (clear(), NoQueue),
        (get_queue(), NoQueue),
        (delete_queue(), NoQueue),
        (post(&["a"]), Refused),
        (create_queue(), Refused),
        (list_queues(), Refused),
    ];
    for body in [r#"{"msg":"Message not found"}"#, r#"{"msg":"Not found"}"#, "", "<html>"] {
        kinds(404, body, &cases);
    }
    // A peek of one message can miss either; only the text distinguishes them.
    assert_eq!(kind(&get(), 404, r#"{"msg":"Queue not found"}"#), NoQueue);
    assert_eq!(kind(&delete(), 404, r#"{"msg":"Queue not found"}"#), NoMessage);
}

#[test]
fn other_statuses_are_reported_by_their_class() {
    use FaultKind::{Redirected, Refused, ServerError, TooLarge, TooManyRequests};
    for (statuses, expected) in [
        (&[400, 402, 405, 406, 409, 411, 412, 414, 418, 422, 431, 451, 499][..], Refused),
        (&[413], TooLarge),
        (&[429], TooManyRequests),
        (&[408, 500, 501, 502, 503, 504, 505, 520, 599], ServerError),
        (&[300, 301, 302, 303, 304, 307, 308, 399], Redirected),
    ] {
        for status in statuses {
            for op in all_ops() {
                for body in ["", "null", "<html>busy</html>", r#"{"msg":"x"}"#, r#"{"msg":5}"#, "{"]
                {
                    let fault = fault(&op, *status, body);
                    assert_eq!(fault.kind(), expected, "{status} {op:?} {body}");
                    assert_eq!(fault.status(), Some(*status));
                }
            }
        }
    }
}

#[test]
fn only_the_servers_own_message_is_quoted_and_truncated() {
    let said = |body: &str| fault(&reserve(1), 503, body).to_string();
    assert!(said(r#"{"msg":"down for lunch","trace":"SECRET"}"#).contains("down for lunch"));
    for body in [
        r#"{"msg":{"a":"SECRET"}}"#,
        r#"{"error":"SECRET"}"#,
        "SECRET",
        r#"["SECRET"]"#,
        r#"{"msg":"SECRET"#,
    ] {
        assert!(!said(body).contains("SECRET"), "{body}");
    }
    let long = said(&format!(r#"{{"msg":"{}"}}"#, "x".repeat(1 << 20)));
    assert!(long.len() < 500, "{} bytes", long.len());
    assert!(
        said(r#"{"msg":"a\n[ERROR] forged\u001b[31m"}"#).contains(r"a\n[ERROR] forged\u{1b}[31m")
    );
}

#[test]
fn a_server_that_repeats_the_token_or_a_body_is_not_quoted() {
    let echo = format!(r#"{{"msg":"bad header OAuth {TOKEN}"}}"#);
    for op in all_ops() {
        let fault = fault(&op, 400, &echo);
        let shown = format!("{fault} {fault:?}");
        assert!(!shown.contains(TOKEN), "{shown}");
    }
    let body = r#"{"name":"mail.send","options":{},"args":["PRIVATE"]}"#;
    let in_json = r#"s\":[\"PRIVATE\"]"#;
    for quoted in [body, &body[20..], r#""args":["PRIVATE"]"#, in_json] {
        let echo = serde_json::json!({ "msg": format!("bad near {quoted}") }).to_string();
        let fault = fault(&post(&[body]), 400, &echo);
        let shown = format!("{fault} {fault:?}");
        assert!(!shown.contains("PRIVATE"), "{shown}");
    }
}

#[test]
fn no_header_of_a_response_shows_the_token() {
    let host = format!("https://{}.example/", TOKEN.to_lowercase());
    let content_type = format!("text/{TOKEN}");
    for response in [
        response_with(307, &[("location", &host)], ""),
        response_with(200, &[("content-type", &content_type)], ""),
    ] {
        let fault = ironmq().decode(&reserve(1), response).unwrap_err();
        let shown = format!("{fault} {fault:?}").to_lowercase();
        assert!(!shown.contains(&TOKEN.to_lowercase()), "{shown}");
    }
}

#[test]
fn a_redirect_is_not_followed_and_only_its_origin_is_shown() {
    for (location, shown) in [
        ("https://mq.example/3/projects/x?oauth=SECRET", Some("to https://mq.example;")),
        ("http://user:SECRET@other.example:8080/", Some("to http://other.example:8080;")),
        ("/SECRET", None),
        ("\u{e4}SECRET", None),
        ("", None),
    ] {
        let response = response_with(307, &[("location", location)], "");
        let fault = ironmq().decode(&reserve(1), response).unwrap_err();
        assert_eq!(fault.kind(), FaultKind::Redirected);
        let text = format!("{fault} {fault:?}");
        assert!(!text.contains("SECRET"), "{text}");
        assert!(shown.is_none_or(|shown| text.contains(shown)), "{text}");
    }
}

fn refused_with(status: u16, headers: &[(&str, &str)]) -> Fault {
    ironmq().decode(&reserve(1), response_with(status, headers, "")).unwrap_err()
}

#[test]
fn the_server_may_delay_the_next_request_by_up_to_a_minute() {
    for (text, seconds) in [
        ("0", Some(0)),
        ("7", Some(7)),
        (" 7 ", Some(7)),
        ("60", Some(60)),
        ("315360000", Some(60)),
        ("99999999999999999999999999", Some(60)),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
        ("0x10", None),
        ("soon", None),
        ("", None),
    ] {
        for status in [408, 429, 500, 502, 503, 504] {
            let fault = refused_with(status, &[("retry-after", text)]);
            assert_eq!(fault.retry_after(), seconds.map(Duration::from_secs), "{status} {text:?}");
        }
    }
}

#[test]
fn a_date_in_retry_after_is_relative_to_the_servers_own_clock() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (retry_after, seconds) in [
        ("Sun, 06 Nov 1994 08:49:57 GMT", Some(20)),
        ("Mon, 07 Nov 1994 08:49:37 GMT", Some(60)),
        ("Sun, 06 Nov 2004 08:49:37 GMT", Some(60)),
        ("Sun, 06 Nov 1994 08:49:36 GMT", None),
        ("Sun, 06 Nov 1994", None),
    ] {
        let fault = refused_with(503, &[("date", date), ("retry-after", retry_after)]);
        assert_eq!(fault.retry_after(), seconds.map(Duration::from_secs), "{retry_after}");
    }
    assert_eq!(refused_with(503, &[("retry-after", date)]).retry_after(), None);
    assert_eq!(refused_with(503, &[("date", "today"), ("retry-after", date)]).retry_after(), None);
}

/// The row requires a clock error if requests are signed with a time. These requests are not.
#[test]
fn the_date_of_a_response_is_the_servers_time() {
    let op = QueueOp::GetQueue { queue: QueueName::new("mail").unwrap() };
    let body = r#"{"queue":{"name":"mail"}}"#;
    for (date, time) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(Duration::from_secs(784_111_777))),
        ("yesterday", None),
    ] {
        let headers = [("content-type", "application/json"), ("date", date)];
        let reply = ironmq().decode(&op, response_with(200, &headers, body)).unwrap();
        let QueueReply::Queue(info) = reply else { panic!("{reply:?}") };
        assert_eq!(info.server_time, time, "{date}");
    }
}

#[test]
fn no_request_contains_a_time_and_no_date_of_a_server_invalidates_a_response() {
    for op in all_ops() {
        assert_eq!(ironmq().encode(&op).headers().get("date"), None, "{op:?}");
    }
    for date in ["Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 01 Jan 2106 00:00:00 GMT", "yesterday"] {
        let headers = [("content-type", "application/json"), ("date", date)];
        let response = |status, body| response_with(status, &headers, body);
        assert!(
            ironmq().decode(&reserve(1), response(200, r#"{"messages":[]}"#)).is_ok(),
            "{date}"
        );
        for status in [400, 401, 403, 503] {
            let fault = ironmq().decode(&reserve(1), response(status, "")).unwrap_err();
            assert_eq!(fault, self::fault(&reserve(1), status, ""), "{date}");
        }
    }
}

#[test]
fn other_refusals_do_not_delay_the_next_request() {
    for status in [400, 401, 404, 413, 301] {
        assert_eq!(refused_with(status, &[("retry-after", "5")]).retry_after(), None);
    }
}
